"""Definition of an endpoint: a route's model and handler."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from aiohttp import web

from local_models.local_model import LocalModel

Model = TypeVar("Model", bound=LocalModel)


@dataclass(frozen=True, slots=True)
class ModelEndpoint(Generic[Model]):
    """A route that accepts POST.

    Attributes:
        model: class of the model; endpoints with the same class share an instance.
        handle: takes the request and that instance; raises ``LocalModelError``.
    """

    model: type[Model]
    handle: Callable[[web.Request, Model], Awaitable[web.StreamResponse]]
