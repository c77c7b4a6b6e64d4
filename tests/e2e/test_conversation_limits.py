"""What a conversation may hold, and that its items are read a page at a time."""

import httpx
import pytest
from django.db import connection

from inference.chat import conversations
from inference.models import Conversation, Turn
from tests import answers, factories
from tests.gateway import GatewayProcess
from tests.wire import chat, envelope

HEADER = "x-gt-conversation-id"
MOST = 8


@pytest.fixture(scope="module")
def small():
    """A gateway whose conversations hold 8 messages of 2 KiB together."""
    with GatewayProcess(
        "small", workers=1, CONVERSATION_MAX_BYTES="2048", CONVERSATION_MAX_ITEMS=str(MOST)
    ) as started:
        yield started


@pytest.fixture
def http(small, world):
    with httpx.Client(base_url=small.base_url, headers=world.authorization, timeout=30) as client:
        yield client


@pytest.fixture
def thread(http) -> str:
    return http.post("/conversations").json()["id"]


def add(http, thread: str, *texts: str) -> httpx.Response:
    items = [{"role": "user", "content": text} for text in texts]
    return http.post(f"/conversations/{thread}/items", json={"items": items})


def held(thread: str) -> tuple[int, int]:
    """What is counted, which is what is there."""
    row = Conversation.objects.get(pk=thread)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(octet_length(i.message::text)), 0), count(*) FROM inference_item i"
            " JOIN inference_turn t ON t.id = i.turn_id WHERE t.conversation_id = %s",
            [thread],
        )
        assert cursor.fetchone() == (row.bytes, row.item_count)
    return row.bytes, row.item_count


def test_item_limit_is_enforced_and_deleted_items_free_room(http, thread):
    added = add(http, thread, *"abcdefg").json()["data"]
    before = held(thread)
    message = envelope(add(http, thread, "h", "i"), 400, "conversation_too_long")["message"]
    assert message == f"A conversation holds at most {MOST} messages of 2,048 bytes together."
    assert held(thread) == before
    assert add(http, thread, "h").status_code == 200
    assert http.delete(f"/conversations/{thread}/items/{added[0]['id']}").status_code == 200
    assert add(http, thread, "i").status_code == 200
    assert held(thread)[1] == MOST


def test_bytes_beyond_the_limit_are_refused(http, thread):
    big = add(http, thread, "x" * 1500).json()["data"][0]["id"]
    envelope(add(http, thread, "y" * 600), 400, "conversation_too_long")
    http.delete(f"/conversations/{thread}/items/{big}")
    assert held(thread) == (0, 0)
    assert add(http, thread, "y" * 600).status_code == 200
    items = [{"role": "user", "content": "x" * 2048}]
    envelope(http.post("/conversations", json={"items": items}), 400, "conversation_too_long")


def test_responses_and_failed_turns_count_toward_the_limit(http, thread, upstream, world):
    headers = {HEADER: thread}
    upstream.script(world.raw, answers.answer(answers.error_body(), status=500))
    assert http.post("/chat/completions", json=chat("fast"), headers=headers).status_code == 502
    assert held(thread)[1] == 1
    upstream.script(world.raw, answers.answer())
    for number in (3, 5, 7, 9):
        assert http.post("/chat/completions", json=chat("fast"), headers=headers).status_code == 200
        # The last answer is one too many, and is kept: it was asked for while there was room.
        assert held(thread)[1] == number
    refused = http.post("/chat/completions", json=chat("fast"), headers=headers)
    envelope(refused, 400, "conversation_too_long")
    assert Turn.objects.filter(conversation=thread).count() == 5
    assert held(thread)[1] == 9


def turns(thread: str) -> list[tuple[str, int, bool]]:
    """The state of each turn, how many messages it has, and whether it lost some to others."""
    rows = Turn.objects.filter(conversation=thread).order_by("number")
    return [(turn.state, turn.items.count(), turn.shortened) for turn in rows]


def ask(http, thread: str, *messages: dict) -> httpx.Response:
    body = chat("fast", messages=messages) if messages else chat("fast")
    return http.post("/chat/completions", json=body, headers={HEADER: thread})


def test_failed_turns_make_room_for_others_the_oldest_first(http, thread, upstream, world):
    upstream.script(world.raw, answers.answer(answers.error_body(), status=500))
    for _ in range(MOST + 1):
        assert ask(http, thread).status_code == 502
    failed = ("failed", 1, False)
    assert turns(thread) == [("failed", 0, True)] + MOST * [failed]
    upstream.script(world.raw, answers.answer())
    assert ask(http, thread).status_code == 200
    assert turns(thread) == 2 * [("failed", 0, True)] + (MOST - 1) * [failed] + [("complete", 2, False)]
    # The answer is one too many, so two have to go now.
    assert add(http, thread, "a").status_code == 200
    assert turns(thread)[:5] == 4 * [("failed", 0, True)] + [failed]
    assert held(thread)[1] == MOST


def test_replaced_messages_make_room_for_others(http, thread, upstream, world):
    first, *rest = add(http, thread, *"abcdefg").json()["data"]
    upstream.script(world.raw, answers.answer())
    edited = [{"role": "assistant", "content": "Another account."}, {"role": "user", "content": "x"}]
    # There is no room for it yet: what it takes the place of counts until the answer is there.
    envelope(ask(http, thread, *edited), 400, "conversation_too_long")
    http.delete(f"/conversations/{thread}/items/{first['id']}")
    assert ask(http, thread, *edited).status_code == 200
    assert turns(thread) == [("complete", len(rest), False), ("complete", 3, False)]
    assert ask(http, thread).status_code == 200
    assert turns(thread) == [("complete", 0, True), ("complete", 3, False), ("complete", 2, False)]
    assert len(http.get(f"/conversations/{thread}/items").json()["data"]) == 5
    assert held(thread)[1] == 5


def test_pending_and_active_messages_are_not_deleted_for_room(http, thread, world):
    for _ in range(MOST - 1):
        conversations.begin(world.key.row.pk, thread, chat("fast"), "req_1")
    add(http, thread, "a")
    before = turns(thread)
    envelope(ask(http, thread), 400, "conversation_too_long")
    assert turns(thread) == before
    Turn.objects.filter(conversation=thread, number=3).update(state="abandoned")
    assert add(http, thread, "b").status_code == 200
    assert [turn for turn in turns(thread) if turn[2]] == [("abandoned", 0, True)]


def test_nothing_is_deleted_if_it_would_not_free_enough_room(http, thread, upstream, world):
    upstream.script(world.raw, answers.answer(answers.error_body(), status=500))
    ask(http, thread)
    add(http, thread, *"abcdefg")
    envelope(add(http, thread, "h", "i"), 400, "conversation_too_long")
    assert turns(thread)[0] == ("failed", 1, False)
    big = {"role": "user", "content": "x" * 2040}
    envelope(ask(http, thread, big), 400, "conversation_too_long")
    assert turns(thread)[0] == ("failed", 1, False)


def test_room_is_made_for_bytes_too(http, thread, upstream, world):
    upstream.script(world.raw, answers.answer(answers.error_body(), status=500))
    for size in (900, 900):
        assert ask(http, thread, {"role": "user", "content": "x" * size}).status_code == 502
    assert add(http, thread, "y" * 600).status_code == 200
    assert turns(thread) == [("failed", 0, True), ("failed", 1, False), ("complete", 1, False)]
    held(thread)


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 3, 20])
def test_pages_in_both_directions_have_each_item_once(http, world, order, limit):
    thread = factories.conversation(world.key)
    calls = [{"id": f"call_{n}", "function": {"name": "ring", "arguments": "{}"}} for n in range(3)]
    factories.turn(thread, {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"})
    factories.turn(thread, {"role": "user", "content": "failed"}, state="failed")
    factories.turn(
        thread, {"role": "user", "content": "c"}, {"role": "assistant", "content": "d", "tool_calls": calls}
    )
    factories.turn(thread, {"role": "assistant", "tool_calls": calls}, {"role": "user", "content": "e"})
    path = f"/conversations/{thread.pk}/items"
    whole = http.get(path, params={"order": order, "limit": 100}).json()
    ids = [item["id"] for item in whole["data"]]
    assert len(ids) == len(set(ids)) == 11
    assert not whole["has_more"]

    for name, expected in (("after", ids), ("before", ids[::-1])):
        seen, more, cursor = [], True, {}
        if name == "before":
            seen, cursor = [ids[-1]], {"before": ids[-1]}
        while more:
            got = http.get(path, params={"order": order, "limit": limit, **cursor}).json()
            found = [item["id"] for item in got["data"]]
            seen += found if name == "after" else found[::-1]
            more, cursor = got["has_more"], {name: seen[-1]}
        assert seen == expected
    between = http.get(
        path, params={"order": order, "limit": limit, "after": ids[0], "before": ids[-1]}
    ).json()
    assert [item["id"] for item in between["data"]] == ids[1:-1][:limit]
    for item in whole["data"]:
        assert http.get(f"{path}/{item['id']}").json() == item


def test_item_id_with_a_nonexistent_part_is_not_found(http, thread):
    made = add(http, thread, "a").json()["data"][0]["id"]
    for wrong in (f"{made}-0", f"{made}-", f"-{made}", "a%00"):
        envelope(http.get(f"/conversations/{thread}/items/{wrong}"), 404, "not_found")
        assert envelope(http.get(f"/conversations/{thread}/items?after={wrong}"), 400)["param"] == "after"
