"""What an endpoint is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from aiohttp import web

from local_models.local_model import LocalModel

Model = TypeVar("Model", bound=LocalModel)


@dataclass(frozen=True, slots=True)
class Endpoint(Generic[Model]):
    """A route that takes a POST.

    Attributes:
        model: the class of the model that answers here; endpoints with the same class share an instance.
        answer: takes the request and that instance; raises ``LocalModelError``.
    """

    model: type[Model]
    answer: Callable[[web.Request, Model], Awaitable[web.StreamResponse]]
