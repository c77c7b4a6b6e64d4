"""Base class of the local models: loading on first use, and settings."""

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
class ModelSettings:
    """Settings from the command line.

    Attributes:
        data: directory for generated files such as the chat model's weights.
        threads: CPU threads per model.
    """

    data: Path
    threads: int


class LocalModel(ABC):
    """A model that is loaded at most once, at startup or at its first use."""

    #: A key of ``MODELS`` and ``PACKAGES``.
    capability: ClassVar[str]
    id: ClassVar[str]
    #: Load at startup rather than at the first request.
    eager: ClassVar[bool] = False
    #: Models it depends on; their instances are passed to the constructor after the settings.
    uses: ClassVar[tuple[type["LocalModel"], ...]] = ()

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self.loaded = False
        self._loading = asyncio.Lock()

    async def ready(self) -> None:
        """Load the model unless it is loaded.

        Raises:
            ModelUnavailableError: it cannot be loaded; the next call retries.
        """
        async with self._loading:
            if self.loaded:
                return
            if missing_packages := missing(self.capability):
                raise ModelUnavailableError(
                    f"The model {self.id} is not installed (missing: {', '.join(missing_packages)})."
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
        """Load the model; called in a thread, never concurrently."""
