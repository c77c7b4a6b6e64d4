"""``POST /audio/translations``."""

from inference.endpoints import ENDPOINTS
from inference.endpoints.transcriptions.schema import TRANSLATION_FORMATS
from inference.endpoints.transcriptions.view import TranscriptEdge
from inference.views import InferenceView


class TranslationsView(InferenceView):
    endpoint = ENDPOINTS["translations"]
    edge = TranscriptEdge("translate", TRANSLATION_FORMATS, can_stream=False)
