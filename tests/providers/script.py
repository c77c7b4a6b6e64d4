"""What the conformance suite needs to know of a kind of provider: how to make one behave in a certain way."""

from dataclasses import dataclass
from typing import Protocol

from tests.upstream import Play

#: Words in every error of a scripted provider, which must not reach a client.
OWN_WORDS = "the provider's own words"
CREDENTIAL = "sk-credential-of-the-provider"


@dataclass(frozen=True)
class Behaviour:
    """A play for the scripted upstream, or for an adapter without a network what stands behind its raw model id."""

    play: Play | None = None
    options: str = ""


class ProviderScript(Protocol):
    """The row of one kind of provider."""

    def whole(self, operation: str) -> Behaviour:
        """It gives a good whole response."""
        ...

    def streamed(self, operation: str) -> Behaviour | None:
        """It gives a good streamed response; None for operations without one."""
        ...

    def failing(self, error: str, param: str = "") -> Behaviour:
        """It reports one of the errors in `test_conformance.ERRORS`, with `OWN_WORDS`."""
        ...

    def slow(self, operation: str, *, streamed: bool, before: float = 0, between: float = 0) -> Behaviour:
        """It waits so many seconds before its response, or between two events of it."""
        ...

    def breaking_off(self, operation: str) -> Behaviour:
        """Its stream ends after some events, without an end mark."""
        ...

    def models(self) -> Behaviour:
        """It lists a model named `raw-chat`, as the response to `GET /v1/models`."""
        ...
