"""Conversations that the gateway keeps: the SDK's own routes, and chats that go on where a thread stands."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import openai
import pytest
from django.conf import settings
from django.utils import timezone

from inference.models import Item, Turn
from inference.tasks import end_lost_turns
from tests import answers, factories
from tests.upstream import Wire
from tests.wire import BASES, RawClient, chat, envelope, events

HEADER = "x-gt-conversation-id"


@pytest.fixture
def thread(http) -> str:
    return http.post("/conversations").json()["id"]


@pytest.fixture
def say(http, upstream, world):
    """Sends messages to a thread; the provider answers `answer`. Returns what the provider was sent."""

    def send(thread: str, *messages: tuple[str, str] | str, answer: str = "ok", model="fast", **more) -> list:
        upstream.script(world.raw, answers.answer(answers.completion(answer)))
        body = {
            "model": model,
            "messages": [
                {"role": "user", "content": m} if isinstance(m, str) else {"role": m[0], "content": m[1]}
                for m in messages
            ],
            **more,
        }
        response = http.post("/chat/completions", json=body, headers={HEADER: thread})
        assert response.status_code == 200, response.text
        assert response.headers[HEADER] == thread
        return [(m["role"], m.get("content")) for m in upstream.last(world.raw).json["messages"]]

    return send


def spoken(thread: str) -> list[tuple[str, str]]:
    """What stands in the thread."""
    rows = Item.objects.filter(
        turn__conversation=thread, turn__state=Turn.State.COMPLETE, superseded=False
    ).order_by("turn__number", "position")
    return [(row.message["role"], row.message["content"]) for row in rows]


def test_sdk_methods_work(client):
    made = client.conversations.create(
        metadata={"topic": "bikes"},
        items=[{"type": "message", "role": "user", "content": "Hello"}],
    )
    assert made.id.startswith("conv_")
    assert made.metadata == {"topic": "bikes"}
    assert client.conversations.retrieve(made.id) == made
    assert client.conversations.update(made.id, metadata={"topic": "cars"}).metadata == {"topic": "cars"}
    added = client.conversations.items.create(
        made.id,
        items=[
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi."}]},
            {"type": "function_call", "call_id": "call_1", "name": "ring", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "rung"},
        ],
    )
    assert [item.type for item in added.data] == ["message", "function_call", "function_call_output"]
    listed = list(client.conversations.items.list(made.id, order="asc", limit=1))
    assert [item.id for item in listed][1:] == [item.id for item in added.data]
    assert listed[0].content[0].text == "Hello"
    assert client.conversations.items.retrieve(listed[1].id, conversation_id=made.id).content[0].text == "Hi."
    client.conversations.items.delete(listed[0].id, conversation_id=made.id)
    newest_first = client.conversations.items.list(made.id).data
    assert [item.id for item in newest_first] == [item.id for item in reversed(added.data)]
    assert client.conversations.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(made.id)


def test_empty_body_creates_an_empty_conversation(http):
    made = http.post("/conversations").json()
    assert set(made) == {"id", "object", "created_at", "metadata"}
    assert made["metadata"] == {}


def test_conversation_adds_its_history_to_the_prompt(thread, say):
    say(thread, "My name is Ada.", answer="Hello Ada.")
    sent = say(thread, "What is my name?", answer="Ada.")
    assert sent == [("user", "My name is Ada."), ("assistant", "Hello Ada."), ("user", "What is my name?")]
    assert spoken(thread) == [*sent, ("assistant", "Ada.")]


def test_streamed_response_is_stored_whole(thread, http, upstream, world, say):
    upstream.script(world.raw, answers.stream(*answers.chunks("one ", "two ", "three")))
    body = chat("fast", stream=True)
    response = http.post("/chat/completions", json=body, headers={HEADER: thread})
    assert events(response.text)[-1] == "[DONE]"
    assert response.headers[HEADER] == thread
    assert spoken(thread)[-1] == ("assistant", "one two three")


def test_streamed_tool_call_is_stored_and_answered(thread, http, upstream, world):
    fragments = [
        answers.chunk({"role": "assistant", "tool_calls": [
            {"index": 0, "id": "prov-1", "type": "function", "function": {"name": "ring", "arguments": ""}}]}),
        answers.chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}),
        answers.chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
        answers.chunk({}, finish="tool_calls"),
    ]  # fmt: skip
    upstream.script(world.raw, answers.stream(*fragments))
    text = http.post("/chat/completions", json=chat("fast", stream=True), headers={HEADER: thread}).text
    call = next(e for e in events(text) if e["choices"][0]["delta"].get("tool_calls"))
    identity = call["choices"][0]["delta"]["tool_calls"][0]["id"]
    upstream.script(world.raw, answers.answer())
    result = {"role": "tool", "tool_call_id": identity, "content": "rung"}
    done = http.post(
        "/chat/completions", json={"model": "fast", "messages": [result]}, headers={HEADER: thread}
    )
    assert done.status_code == 200
    sent = upstream.last(world.raw).json["messages"]
    assert sent[1]["tool_calls"] == [
        {"id": identity, "type": "function", "function": {"name": "ring", "arguments": '{"a":1}'}}
    ]
    assert sent[2] == result


@pytest.mark.parametrize("resent", [0, 1, 2], ids=["whole", "without the first", "the last answer alone"])
def test_resent_history_is_not_duplicated(thread, say, resent):
    say(thread, "one", answer="1")
    say(thread, "two", answer="2")
    history = [("user", "one"), ("assistant", "1"), ("user", "two"), ("assistant", "2")]
    trimmed = history[resent if resent < 2 else 3 :]
    sent = say(thread, *trimmed, ("user", "three"), answer="3")
    assert sent == [*history, ("user", "three")]
    assert spoken(thread) == [*sent, ("assistant", "3")]


def test_repeated_question_replaces_the_last_response(thread, say):
    say(thread, "one", answer="1")
    say(thread, "two", answer="2")
    sent = say(thread, ("user", "one"), ("assistant", "1"), ("user", "two"), answer="another 2")
    assert sent == [("user", "one"), ("assistant", "1"), ("user", "two")]
    assert spoken(thread) == [*sent, ("assistant", "another 2")]


def test_edited_history_replaces_the_stored_one(thread, say):
    say(thread, "one", answer="1")
    say(thread, "two", answer="2")
    edited = [("user", "one"), ("assistant", "uno"), ("user", "three")]
    assert say(thread, *edited, answer="3") == edited
    assert spoken(thread) == [*edited, ("assistant", "3")]


def test_more_messages_than_a_conversation_holds_are_refused(thread, http):
    messages = [{"role": "user", "content": "x"}] * 5001
    body = chat("fast", messages=messages)
    refused = http.post("/chat/completions", json=body, headers={HEADER: thread})
    message = envelope(refused, 400, "conversation_too_long")["message"]
    assert "at most 5,000 messages of 33,554,432 bytes" in message
    assert not Turn.objects.filter(conversation=thread).exists()


def test_system_text_is_replaced_and_not_appended(thread, say):
    say(thread, ("system", "Be kind."), "one", answer="1")
    assert say(thread, "two", answer="2")[0] == ("system", "Be kind.")
    sent = say(thread, ("system", "Be brief."), "three", answer="3")
    assert [m for m in sent if m[0] == "system"] == [("system", "Be brief.")]
    assert len(sent) == 6


def test_instructions_of_an_agent_precede_the_history(thread, say):
    say(thread, "one", answer="1", model="support")
    sent = say(thread, "two", answer="2", model="support")
    assert sent[0] == ("system", "Answer briefly.")
    assert sent[1:] == [("user", "one"), ("assistant", "1"), ("user", "two")]


def test_a_failed_turn_enters_no_prompt_and_a_retry_adds_nothing(thread, http, upstream, world, say):
    upstream.script(world.raw, answers.answer(answers.error_body(), status=500))
    failed = http.post("/chat/completions", json=chat("fast"), headers={HEADER: thread})
    assert failed.status_code == 502
    assert spoken(thread) == []
    assert say(thread, "Hello") == [("user", "Hello")]
    states = Turn.objects.filter(conversation=thread).order_by("number").values_list("state", flat=True)
    assert list(states) == ["failed", "complete"]


def test_an_abandoned_turn_enters_no_prompt(thread, gateway, upstream, world, say):
    upstream.script(world.raw, answers.endless())
    client = RawClient(gateway.port, world.authorization["authorization"])
    head = client.head
    client.head = lambda length, *rest: head(length, *rest).replace(
        b"\r\n\r\n", f"\r\n{HEADER}: {thread}\r\n\r\n".encode()
    )
    client.post(chat("fast", stream=True))
    client.read_until(b"on and on")
    client.leave()
    deadline = threading.Event()
    for _ in range(100):
        if Turn.objects.get(conversation=thread).state == "abandoned":
            break
        deadline.wait(0.1)
    assert Turn.objects.get(conversation=thread).state == "abandoned"
    assert say(thread, "Hello") == [("user", "Hello")]


def test_turn_of_a_stopped_gateway_is_marked_as_failed(world):
    conversation = factories.conversation(world.key)
    question = {"role": "user", "content": "Hello"}
    ages = {"pending": (26, 24), "complete": (26,)}
    for state, hours in ages.items():
        for age in hours:
            created_at = timezone.now() - timedelta(hours=age)
            factories.turn(conversation, question, state=state, created_at=created_at)
    end_lost_turns()
    turns = Turn.objects.filter(conversation=conversation).order_by("number")
    assert [(turn.state, turn.ended_at is not None) for turn in turns] == [
        ("failed", True), ("pending", False), ("complete", False),
    ]  # fmt: skip
    assert settings.CELERY_BEAT_SCHEDULE["end-lost-turns"]["task"] == end_lost_turns.name


def test_fifty_messages_at_once_become_fifty_turns_in_order(thread, gateway, upstream, world):
    questions = [f"message {number}" for number in range(50)]
    together = threading.Barrier(len(questions))

    async def echo(wire: Wire) -> None:
        question = wire.received.json["messages"][-1]["content"]
        # Who came first is not who is answered first.
        await wire.pause(questions.index(question) % 5 / 50)
        await answers.answer(answers.completion(f"answer to {question}"))(wire)

    def send(question: str) -> str:
        with httpx.Client(base_url=gateway.base_url, headers=world.authorization, timeout=60) as client:
            body = {"model": "fast", "messages": [{"role": "user", "content": question}]}
            together.wait(60)
            response = client.post("/chat/completions", json=body, headers={HEADER: thread})
        assert response.status_code == 200, response.text
        return response.json()["choices"][0]["message"]["content"]

    upstream.script(world.raw, echo)
    with ThreadPoolExecutor(len(questions)) as pool:
        got = list(pool.map(send, questions))
    assert got == [f"answer to {question}" for question in questions]
    turns = Turn.objects.filter(conversation=thread).order_by("number").values_list("number", "state")
    assert list(turns) == [(number, "complete") for number in range(1, 51)]
    said = spoken(thread)
    asked, answered = said[::2], said[1::2]
    assert sorted(asked) == sorted(("user", question) for question in questions)
    assert answered == [("assistant", f"answer to {question}") for _, question in asked]


def test_long_history_is_cut_to_the_context_window_oldest_first(thread, http, upstream, world, say):
    world.fast.context_window = 330
    world.fast.save()
    long = "word " * 100
    say(thread, ("system", "Be kind."), f"first {long}", answer="1", max_tokens=50)
    say(thread, f"second {long}", answer="2", max_tokens=50)
    sent = say(thread, f"third {long}", answer="3", max_tokens=50)
    assert sent[0] == ("system", "Be kind.")
    assert [text.split()[0] for _, text in sent[1:]] == ["second", "2", "third"]
    assert Turn.objects.get(conversation=thread, number=3).left_out == 2
    assert len(spoken(thread)) == 6


@pytest.mark.parametrize(
    ("parameters", "forced", "given", "fits"),
    [
        ({}, {}, {}, True),
        ({"max_tokens": 150}, {}, {}, False),
        ({"max_tokens": 150}, {}, {"max_completion_tokens": 50}, True),
        ({"max_tokens": 50}, {}, {"max_new_tokens": 150}, False),
        ({}, {"max_tokens": 150}, {"max_completion_tokens": 50}, False),
        ({}, {"n_predict": 50}, {"max_tokens": 150}, True),
    ],
    ids=["nobody", "default", "client over default", "synonym over default", "forced", "forced synonym"],
)
def test_response_limit_is_reserved_in_the_context_window(
    thread, upstream, world, say, parameters, forced, given, fits
):
    world.fast.context_window = 330
    world.fast.save()
    agent = factories.agent(world.fast, factories.unique("agent"), parameters=parameters, forced=forced)
    factories.grant(world.key.row, agent)
    long = "word " * 100
    say(thread, f"first {long}", answer="1")
    sent = say(thread, f"second {long}", answer="2", model=agent.name, **given)
    assert [text.split()[0] for _, text in sent] == (["first", "1", "second"] if fits else ["second"])


def test_tool_result_is_sent_with_its_exchange(thread, http, upstream, world, say):
    world.fast.context_window = 200
    world.fast.save()
    long = "word " * 100
    call = {"id": "call_1", "type": "function", "function": {"name": "ring", "arguments": "{}"}}
    say(thread, f"first {long}", answer="1", max_tokens=50)
    called = answers.choice(None, finish="tool_calls", tool_calls=[call])
    for message in (
        {"role": "user", "content": f"second {long}"},
        {"role": "tool", "tool_call_id": "call_1", "content": f"rung {long}"},
    ):
        upstream.script(world.raw, answers.answer(answers.completion(choices=[called])))
        body = {"model": "fast", "messages": [message], "max_tokens": 50}
        assert http.post("/chat/completions", json=body, headers={HEADER: thread}).status_code == 200
    sent = upstream.last(world.raw).json["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool"]
    assert sent[0]["content"].startswith("second")
    assert Turn.objects.get(conversation=thread, number=3).left_out == 2
    # The next question begins a new exchange, and all before it may go.
    assert [text.split()[0] for _, text in say(thread, f"third {long}", max_tokens=50)] == ["third"]


@pytest.mark.parametrize("whose", ["client", "agent"])
def test_tools_count_toward_the_context_window(thread, world, say, whose):
    world.fast.context_window = 330
    world.fast.save()
    tool = {"type": "function", "function": {"name": "ring", "description": "word " * 50}}
    given = {"tools": [tool]}
    forced = given if whose == "agent" else {}
    agent = factories.agent(world.fast, factories.unique("agent"), forced=forced)
    factories.grant(world.key.row, agent)
    long = "word " * 100
    say(thread, f"first {long}", answer="1")
    sent = say(thread, f"second {long}", model=agent.name, **(given if whose == "client" else {}))
    assert [text.split()[0] for _, text in sent] == ["second"]


@pytest.mark.parametrize(("length", "fits"), [(1, True), (100, False)])
def test_tool_calls_count_toward_the_context_window(thread, http, upstream, world, say, length, fits):
    world.fast.context_window = 250
    world.fast.save()
    function = {"name": "ring", "arguments": json.dumps({"a": "word " * length})}
    call = {"id": "call_1", "type": "function", "function": function}
    called = answers.choice(None, finish="tool_calls", tool_calls=[call])
    upstream.script(world.raw, answers.answer(answers.completion(choices=[called])))
    assert http.post("/chat/completions", json=chat("fast"), headers={HEADER: thread}).status_code == 200
    upstream.script(world.raw, answers.answer())
    result = {"role": "tool", "tool_call_id": "call_1", "content": "rung"}
    body = {"model": "fast", "messages": [result]}
    assert http.post("/chat/completions", json=body, headers={HEADER: thread}).status_code == 200
    sent = say(thread, f"next {'word ' * 100}")
    assert [role for role, _ in sent] == (
        ["user", "assistant", "tool", "assistant", "user"] if fits else ["user"]
    )


@pytest.mark.parametrize("base", BASES)
def test_conversation_of_another_key_is_not_found(thread, gateway, world, upstream, base):
    stranger = factories.world(upstream.base_url)
    sibling = factories.key(world.tenant, [world.fast])
    for plain in (stranger.key.plain, sibling.plain):
        with httpx.Client(
            base_url=f"{gateway.url}{base}", headers={"authorization": f"Bearer {plain}"}
        ) as other:
            for method, path, body in (
                ("GET", f"/conversations/{thread}", None),
                ("POST", f"/conversations/{thread}", {"metadata": {}}),
                ("DELETE", f"/conversations/{thread}", None),
                ("GET", f"/conversations/{thread}/items", None),
                ("POST", f"/conversations/{thread}/items", {"items": [{"role": "user", "content": "x"}]}),
                ("GET", f"/conversations/{thread}/items/msg_1", None),
                ("DELETE", f"/conversations/{thread}/items/msg_1", None),
            ):
                envelope(other.request(method, path, json=body), 404, "conversation_not_found")
            asked = other.post("/chat/completions", json=chat("fast"), headers={HEADER: thread})
            envelope(asked, 404, "conversation_not_found")
    assert spoken(thread) == []


def test_conversations_require_their_scope(thread, gateway, world):
    poor = factories.key(world.tenant, [world.fast], ["models:read", "inference:chat"])
    with httpx.Client(base_url=gateway.base_url, headers={"authorization": f"Bearer {poor.plain}"}) as client:
        assert "conversations:write" in envelope(client.post("/conversations"), 403)["message"]
        refused = client.post("/chat/completions", json=chat("fast"), headers={HEADER: thread})
        assert "conversations:write" in envelope(refused, 403, "insufficient_scope")["message"]
        assert client.post("/chat/completions", json=chat("fast")).status_code == 200


def test_user_restricts_access_to_a_conversation(http, world, upstream):
    upstream.script(world.raw, answers.answer())
    thread = http.post("/conversations", json={"user": "ada"}).json()["id"]
    envelope(http.get(f"/conversations/{thread}"), 404)
    envelope(http.get(f"/conversations/{thread}", params={"user": "eve"}), 404)
    assert http.get(f"/conversations/{thread}", params={"user": "ada"}).status_code == 200
    headers = {HEADER: thread}
    envelope(http.post("/chat/completions", json=chat("fast"), headers=headers), 404)
    ask = http.post("/chat/completions", json=chat("fast", user="ada"), headers=headers)
    assert ask.status_code == 200


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"metadata": []}, "metadata"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"metadata": {f"k{n}": "v" for n in range(17)}}, "metadata"),
        ({"items": {}}, "items"),
        ({"items": [{"role": "user", "content": "x"}] * 21}, "items"),
        ({"items": [{"role": "nobody", "content": "x"}]}, "items[0].role"),
        ({"items": [{"type": "web_search_call"}]}, "items[0].type"),
        ({"items": [{"role": "user", "content": [{"type": "input_text"}]}]}, "items[0].content[0].text"),
        ({"user": 7}, "user"),
        ({"user": "a" * 201}, "user"),
    ],
)
def test_invalid_input_is_refused_with_its_path(http, body, param):
    assert envelope(http.post("/conversations", json=body), 400)["param"] == param


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=x", "limit=101", f"limit={'9' * 5000}", "order=up", "after=msg_none"],
    ids=lambda query: query[:12],
)
def test_a_bad_page_is_refused(http, thread, query):
    name = query.partition("=")[0]
    assert envelope(http.get(f"/conversations/{thread}/items?{query}"), 400)["param"] == name


def test_nul_in_a_url_is_not_found(http, thread):
    for path in ("/conversations/a%00", "/conversations/a%00/items", f"/conversations/{thread}/items/a%00"):
        envelope(http.get(path), 404)
    assert envelope(http.post("/conversations?user=a%00"), 400)["param"] == "user"
