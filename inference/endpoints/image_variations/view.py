"""``POST /images/variations``."""

from inference.endpoints import ENDPOINTS
from inference.endpoints.image_edits.view import ImageFormEdge
from inference.views import InferenceView


class ImageVariationsView(InferenceView):
    endpoint = ENDPOINTS["image_variations"]
    edge = ImageFormEdge(is_prompted=False)
