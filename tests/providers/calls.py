"""Calls of adapters that have to fail."""

import pytest

from gtapi.errors import APIError
from tests.providers.script import CREDENTIAL, OWN_WORDS

BOTH = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])


async def failure(subject, *, streamed: bool, client_params=(), **timeouts) -> APIError:
    """The error of a call that has to fail, after the events before it."""
    call = subject.consume(subject.streamed_operation, client_params, **timeouts) if streamed else None
    with pytest.raises(APIError) as caught:
        await (call or subject.fetch(subject.operation, client_params, **timeouts))
    error = caught.value
    shown = f"{error.body()} {error.headers}"
    assert OWN_WORDS not in shown
    assert subject.model not in shown
    assert CREDENTIAL not in shown + error.detail
    return error
