"""Streams that break off: what came before the fault reaches the client, however the packets fell."""

import pytest

from tests import answers, wire
from tests.answers import chunks, stream
from tests.wire import chat


@pytest.mark.parametrize("together", [True, False], ids=["in-one-packet", "apart"])
@pytest.mark.parametrize("fault", [answers.error_body(), b'data: {"choices": \n\n'], ids=["error", "garbage"])
def test_what_came_before_the_fault_is_passed_on(http, upstream, world, fault, together):
    upstream.script(world.raw, stream(*chunks("one ", "two")[:-1], fault, done=False, together=together))
    response = http.post("/chat/completions", json=chat("fast", stream=True))
    assert response.status_code == 200, response.text
    *before, last = wire.events(response.text)
    assert wire.content(before) == "one two"
    assert last["error"]["code"] == "upstream_error"


def test_a_fault_with_nothing_before_it_has_a_status_of_its_own(http, upstream, world):
    upstream.script(world.raw, stream(answers.error_body(), done=False))
    wire.envelope(http.post("/chat/completions", json=chat("fast", stream=True)), 502, "upstream_error")
