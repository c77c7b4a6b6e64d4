"""Why a file failed: a closed list of codes, each with its sentence for the client."""

from files.extraction.sections import MESSAGES
from files.models import DatasetFile

#: What reading a document can come to, and what the rest of the work can.
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


class Failed(Exception):
    """The file cannot be made ready: ``code``, and a sentence for the client."""

    def __init__(self, code: str, message: str = "") -> None:
        self.code = code
        self.message = message or SENTENCES[code]
        super().__init__(self.message)


class Passing(Failed):
    """It may go better another time; the code and the sentence are for when there is no other time.

    ``provider``: a provider was at fault, which is given more tries than a document that kills its reader.
    ``after``: seconds that the provider asks to wait.
    """

    def __init__(self, code: str, message: str = "", *, provider: bool = False, after: float = 0.0) -> None:
        super().__init__(code, message)
        self.provider = provider
        self.after = after


#: States in which nothing more happens to a file by itself.
TERMINAL = (DatasetFile.State.READY, DatasetFile.State.FAILED, DatasetFile.State.CANCELLED)
