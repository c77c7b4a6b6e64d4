"""Errors of ingestion: a closed list of codes with a message for the client each, permanent or transient."""

from files.extraction.sections import MESSAGES as EXTRACTION_MESSAGES
from files.models import DatasetFile

#: The message for the client by code: errors of extraction, and of the steps after it.
MESSAGES = {
    **EXTRACTION_MESSAGES,
    "embedding_failed": "The dataset's embedding model rejected the file's text.",
    "embedding_unavailable": "The dataset's embedding model was unavailable for about an hour.",
    "transcription_failed": "The transcription model rejected the file.",
    "transcription_unavailable": "The transcription model was unavailable for about an hour.",
    "storage_failed": "The file's content could not be read from storage.",
    "processing_failed": "The file could not be processed because of an internal error.",
    "worker_lost": "The file could not be processed: each worker that tried was terminated.",
}


class IngestionError(Exception):
    """A file could not be processed: ``code``, and a message for the client."""

    def __init__(self, code: str, message: str = "") -> None:
        self.code = code
        self.message = message or MESSAGES[code]
        super().__init__(self.message)


class PermanentError(IngestionError):
    """The file would fail the same way again."""


class TransientError(IngestionError):
    """Another attempt may succeed; code and message are stored when there are no attempts left.

    ``provider``: a provider failed, which allows more attempts than a document that kills its extraction process.
    ``after``: seconds that the provider asks to wait.
    """

    def __init__(self, code: str, message: str = "", *, provider: bool = False, after: float = 0.0) -> None:
        super().__init__(code, message)
        self.provider = provider
        self.after = after


#: States in which a file stays until it is reprocessed.
TERMINAL = (DatasetFile.State.READY, DatasetFile.State.FAILED, DatasetFile.State.CANCELLED)
