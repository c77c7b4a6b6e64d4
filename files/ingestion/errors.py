"""Errors of ingestion: a closed list of codes with a sentence for the client each, permanent or transient."""

from files.extraction.sections import MESSAGES
from files.models import DatasetFile

#: The sentence for the client by code: errors of extraction, and of the steps after it.
SENTENCES = {
    **MESSAGES,
    "embedding_failed": "The model that embeds this dataset does not take the file's text.",
    "embedding_unavailable": "The model that embeds this dataset could not be reached for about an hour.",
    "transcription_failed": "The model that transcribes recordings does not take this file.",
    "transcription_unavailable": "The model that transcribes recordings could not be reached for about an hour.",
    "storage_failed": "The file's bytes could not be read from storage.",
    "processing_failed": "The file could not be processed because of a fault of the server.",
    "worker_lost": "The file could not be processed: the workers that tried were lost.",
}


class IngestionError(Exception):
    """A file could not be processed: ``code``, and a sentence for the client."""

    def __init__(self, code: str, message: str = "") -> None:
        self.code = code
        self.message = message or SENTENCES[code]
        super().__init__(self.message)


class PermanentError(IngestionError):
    """The file would fail the same way again."""


class TransientError(IngestionError):
    """The file may succeed at another attempt; the code and the sentence are stored when there are no more.

    ``provider``: a provider failed, which allows more attempts than a document that kills its extraction process.
    ``after``: seconds that the provider asks to wait.
    """

    def __init__(self, code: str, message: str = "", *, provider: bool = False, after: float = 0.0) -> None:
        super().__init__(code, message)
        self.provider = provider
        self.after = after


#: States in which a file stays until it is reprocessed.
TERMINAL = (DatasetFile.State.READY, DatasetFile.State.FAILED, DatasetFile.State.CANCELLED)
