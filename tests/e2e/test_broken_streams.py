"""Streams that break off: the events before the fault reach the client, in one packet or several."""

import pytest

from tests import answers, wire
from tests.answers import chunks, stream
from tests.wire import chat


@pytest.mark.parametrize("together", [True, False], ids=["in-one-packet", "apart"])
@pytest.mark.parametrize("fault", [answers.error_body(), b'data: {"choices": \n\n'], ids=["error", "garbage"])
def test_events_before_a_fault_reach_the_client(http, upstream, world, fault, together):
    upstream.script(world.raw, stream(*chunks("one ", "two")[:-1], fault, done=False, together=together))
    response = http.post("/chat/completions", json=chat("fast", stream=True))
    assert response.status_code == 200, response.text
    *before, last = wire.events(response.text)
    assert wire.content(before) == "one two"
    assert last["error"]["code"] == "upstream_error"


def test_fault_in_the_first_event_is_a_status(http, upstream, world):
    upstream.script(world.raw, stream(answers.error_body(), done=False))
    wire.envelope(http.post("/chat/completions", json=chat("fast", stream=True)), 502, "upstream_error")
