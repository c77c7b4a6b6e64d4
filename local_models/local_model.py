"""What every local model is: an id, a way to load once, and the settings it is loaded with."""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from local_models import missing
from local_models.errors import ModelUnavailableError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line decides.

    Attributes:
        data: the folder for files that are made once, such as the chat model's weights.
        threads: CPU threads for one model.
    """

    data: Path
    threads: int


class LocalModel(ABC):
    """A model that is loaded at most once, at the first use or at the start, and then kept."""

    #: What it can do, as in ``PACKAGES``.
    capability: ClassVar[str]
    id: ClassVar[str]
    #: Loaded in the background as soon as the server listens; otherwise at the first request.
    eager: ClassVar[bool] = False

    #: Models that it uses itself; instances of them follow the settings as arguments.
    uses: ClassVar[tuple[type["LocalModel"], ...]] = ()

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.loaded = False
        self._loading = asyncio.Lock()

    async def ready(self) -> None:
        """Return when the model is loaded.

        Raises:
            ModelUnavailableError: it cannot be; the next call tries again.
        """
        async with self._loading:
            if self.loaded:
                return
            if lacking := missing(self.capability):
                raise ModelUnavailableError(
                    f"The model {self.id} is not installed (missing: {', '.join(lacking)})."
                )
            started = time.monotonic()
            logger.info("loading %s", self.id)
            try:
                await asyncio.to_thread(self.load)
            except ModelUnavailableError:
                raise
            except Exception as error:
                logger.exception("%s could not be loaded", self.id)
                raise ModelUnavailableError(f"The model {self.id} could not be loaded: {error}") from error
            self.loaded = True
            logger.info("loaded %s in %.1f s", self.id, time.monotonic() - started)

    @abstractmethod
    def load(self) -> None:
        """Load the model; called in a thread, once at a time."""
