"""Chat and text completions by the local chat model."""

import math

import openai
import pytest
from pydantic import BaseModel

CHAT = "gemma-3-270m"
FRANCE = [{"role": "user", "content": "What is the capital of France?"}]
COUNT = [{"role": "user", "content": "Count from one to twenty: one, two, three,"}]


def ask(client, *messages, **parameters):
    """Return the response to messages, given as pairs of role and content."""
    conversation = [{"role": role, "content": content} for role, content in messages]
    completion = client.chat.completions.create(
        model=CHAT, messages=conversation, temperature=0, **parameters
    )
    return completion.choices[0].message.content


def test_a_general_question_is_answered(client):
    assert "Paris" in ask(client, ("user", "What is the capital of France?"))


def test_completion_is_short_and_trimmed(client):
    response = ask(client, ("system", "You are a helpful assistant."), ("user", "What is 2 + 2?"))
    assert "4" in response
    assert response == response.strip()
    assert "Question:" not in response
    assert len(response) < 200


def test_question_is_answered_from_the_instructions(client):
    instructions = "You are Max, the assistant of Acme Inc. Employees get 25 days of leave per year."
    assert "25" in ask(client, ("system", instructions), ("user", "How many days of leave do employees get?"))
    assert "Max" in ask(client, ("developer", instructions), ("user", "Who are you?"))


def test_question_is_answered_from_one_of_several_chunks(client):
    passages = (
        "Use the passages to answer.\n\n"
        "[1] The warranty covers defects for 24 months from purchase. Damage by water is not covered.\n\n"
        "[2] To reset the router, hold the button on the back for ten seconds.\n\n"
        "[3] Invoices are sent on the first of each month by e-mail."
    )
    assert "24" in ask(client, ("system", passages), ("user", "How long is the warranty?"))
    assert "button" in ask(client, ("system", passages), ("user", "How do I reset the router?"))


def test_earlier_messages_are_part_of_the_context(client):
    response = ask(
        client,
        ("user", "My name is Anna."),
        ("assistant", "Nice to meet you, Anna."),
        ("user", "What is my name?"),
    )
    assert "Anna" in response


def test_tool_message_is_part_of_the_context(client):
    response = client.chat.completions.create(
        model=CHAT,
        temperature=0,
        messages=[
            {"role": "user", "content": "What is the weather in Paris?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": '{"temperature_c": 18, "sky": "cloudy"}'},
        ],
    )
    assert "cloudy" in response.choices[0].message.content


def test_text_parts_are_joined(client):
    parts = [{"type": "text", "text": "What is the capital"}, {"type": "text", "text": "of France?"}]
    assert "Paris" in ask(client, ("user", parts))


def test_stream_equals_the_complete_response(client):
    parameters = {"model": CHAT, "messages": FRANCE, "temperature": 0, "seed": 7}
    whole = client.chat.completions.create(**parameters)
    chunks = list(
        client.chat.completions.create(**parameters, stream=True, stream_options={"include_usage": True})
    )

    assert chunks[0].choices[0].delta.role == "assistant"
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
        == whole.choices[0].message.content
    )
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]][-2:] == [None, "stop"]
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1


def test_stream_arrives_in_chunks(http):
    body = {"model": CHAT, "messages": COUNT, "max_tokens": 20, "stream": True, "temperature": 0}
    with http.stream("POST", "/v1/chat/completions", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert len(lines) > 10
    assert not any('"usage"' in line for line in lines)


def test_seed_makes_completions_reproducible(client):
    def story(seed):
        return client.completions.create(
            model=CHAT, prompt="Once upon a time there was", max_tokens=8, temperature=1.5, seed=seed
        )

    assert story(11).choices[0].text == story(11).choices[0].text
    assert len({story(seed).choices[0].text for seed in (1, 2, -9007199254740991)}) > 1


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_truncated_completion_has_finish_reason_length(client, name):
    completion = client.chat.completions.create(model=CHAT, messages=COUNT, temperature=0, **{name: 3})
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage.completion_tokens == 3


def test_stop_sequence_ends_the_text_and_is_not_part_of_it(client):
    free = client.completions.create(model=CHAT, prompt="1, 2, 3, 4, 5,", max_tokens=24, temperature=0)
    stopped = client.completions.create(
        model=CHAT, prompt="1, 2, 3, 4, 5,", max_tokens=24, temperature=0, stop=[" 9"]
    )
    assert " 9" in free.choices[0].text
    assert stopped.choices[0].text == free.choices[0].text.split(" 9")[0]
    assert stopped.choices[0].finish_reason == "stop"


def test_usage_grows_with_the_text(client):
    def usage(text):
        return client.completions.create(model=CHAT, prompt=text, max_tokens=2, temperature=0).usage

    short, long = usage("one two three"), usage("one two three four five six")
    assert long.prompt_tokens == short.prompt_tokens + 3
    assert short.completion_tokens == 2
    assert short.total_tokens == short.prompt_tokens + 2


def test_choices_are_numbered_and_counted_together(client):
    completion = client.chat.completions.create(model=CHAT, messages=COUNT, n=2, max_tokens=4, temperature=0)
    assert [choice.index for choice in completion.choices] == [0, 1]
    assert all(choice.message.content for choice in completion.choices)
    assert completion.usage.completion_tokens == 8

    chunks = client.chat.completions.create(model=CHAT, messages=COUNT, n=2, max_tokens=4, stream=True)
    assert {chunk.choices[0].index for chunk in chunks} == {0, 1}


def test_log_probabilities_come_with_their_alternatives(client):
    completion = client.chat.completions.create(
        model=CHAT, messages=FRANCE, temperature=0, logprobs=True, top_logprobs=2
    )
    first = completion.choices[0].logprobs.content[0]
    assert math.exp(first.logprob) <= 1
    assert len(first.top_logprobs) == 2
    assert bytes(first.bytes).decode() == first.token

    plain = client.completions.create(model=CHAT, prompt="The capital of France is", max_tokens=2, logprobs=3)
    assert len(plain.choices[0].logprobs.top_logprobs[0]) == 3


def test_json_schema_is_followed(client):
    class Place(BaseModel):
        city: str
        country: str

    completion = client.chat.completions.parse(
        model=CHAT, messages=FRANCE, response_format=Place, temperature=0
    )
    assert completion.choices[0].message.parsed.city == "Paris"


def test_unsupported_json_schema_is_400(client):
    strange = {"type": "json_schema", "json_schema": {"name": "strange", "schema": {"type": "strange"}}}
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=CHAT, messages=FRANCE, response_format=strange)
    assert refused.value.param == "response_format"


def test_plain_completions_stream_and_echo(client):
    parameters = {
        "model": CHAT,
        "prompt": "The capital of France is",
        "max_tokens": 4,
        "temperature": 0,
        "echo": True,
    }
    whole = client.completions.create(**parameters).choices[0].text
    chunks = list(client.completions.create(**parameters, stream=True))
    assert whole.startswith("The capital of France is ")
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole
    assert chunks[-1].choices[0].finish_reason == "length"
