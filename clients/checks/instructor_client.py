"""Checks of instructor, which returns pydantic models from chats."""

import time
from collections.abc import Iterable
from typing import Any

import instructor
import openai
from harness import check, main, raised, took
from instructor.core import InstructorRetryException
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel, field_validator

USER = [{"role": "user", "content": "A city, as JSON"}]
BONN = {"name": "Bonn", "people": 335000}


class City(BaseModel):
    """A city."""

    name: str
    people: int


class Weather(BaseModel):
    """The weather in a city."""

    city: str


class Nowhere(BaseModel):
    """A city whose validation always fails."""

    name: str

    @field_validator("name")
    @classmethod
    def refuse(cls, value: str) -> str:
        raise ValueError(f"{value} is not it")


def client(
    facts: Any, mode: instructor.Mode = instructor.Mode.TOOLS, kind: Any = OpenAI, **options: Any
) -> Any:
    given = {"api_key": facts.api_key, "max_retries": 0, "timeout": 30, **options}
    return instructor.from_openai(kind(base_url=facts.base_url, **given), mode=mode)


@check("structured")
def every_mode(facts):
    mode = instructor.Mode
    for one in (mode.TOOLS, mode.TOOLS_STRICT, mode.JSON, mode.JSON_SCHEMA):
        found = client(facts, one).chat.completions.create(model="chat", messages=USER, response_model=City)
        assert found.model_dump() == BONN, one


@check("structured", name="async, with the completion itself")
async def with_completion(facts):
    create = client(facts, kind=AsyncOpenAI).chat.completions.create_with_completion
    found, completion = await create(model="chat", messages=USER, response_model=City)
    assert found.model_dump() == BONN
    assert completion.usage.total_tokens == 18


@check("structured")
def asks_again_when_an_answer_is_not_valid(facts):
    create = client(facts).chat.completions.create
    error = raised(
        InstructorRetryException, create, model="chat", messages=USER, response_model=Nowhere, max_retries=2
    )
    assert error.n_attempts in (2, 3)


@check("chat stream")
def partial_and_iterable(facts):
    create = client(facts).chat.completions
    parts = list(create.create_partial(model="chat", messages=USER, response_model=City))
    assert (parts[-1].name, parts[-1].people) == ("Bonn", 335000)
    assert len(parts) > 2
    schema = client(facts, instructor.Mode.JSON_SCHEMA).chat.completions
    assert list(schema.create_partial(model="chat", messages=USER, response_model=City))[-1].name == "Bonn"


@check("chat")
def plain_answer(facts):
    answer = client(facts).chat.completions.create(model="chat", messages=USER, response_model=None)
    assert answer.choices[0].message.content == "You said: A city, as JSON"


@check("tools")
def calls_in_parallel(facts):
    messages = [{"role": "user", "content": "The weather in both cities?"}]
    create = client(facts, instructor.Mode.PARALLEL_TOOLS).chat.completions.create
    found = list(create(model="chat", messages=messages, response_model=Iterable[Weather]))
    assert [one.city for one in found] == ["Bonn", "Köln"]


def cause(error: BaseException) -> BaseException:
    """Return the SDK error wrapped in instructor's error."""
    while error is not None and not isinstance(error, openai.APIError):
        error = error.__cause__ or error.__context__
    return error


@check("errors")
def errors_of_the_sdk_inside_its_own(facts):
    cases = [
        ({"api_key": "gtak_wrong"}, "chat", openai.AuthenticationError, "invalid_api_key"),
        ({"api_key": facts.limited_key}, "chat", openai.PermissionDeniedError, "insufficient_scope"),
        ({}, "unknown-model", openai.NotFoundError, "model_not_found"),
        ({}, "failing", openai.InternalServerError, "upstream_error"),
    ]
    for options, model, kind, code in cases:
        create = client(facts, **options).chat.completions.create
        asked = {"model": model, "messages": USER, "response_model": City, "max_retries": 1}
        found = cause(raised(Exception, create, **asked))
        assert isinstance(found, kind), found
        assert found.code == code


@check("retries")
def waits_for_retry_after(facts):
    messages = [{"role": "user", "content": f"instructor {time.monotonic_ns()}"}]
    create = client(facts, max_retries=2).chat.completions.create
    found, seconds = took(lambda: create(model="flaky", messages=messages, response_model=City))
    assert found.model_dump() == BONN
    assert 1.9 < seconds < 10, seconds


@check("timeouts")
def its_own(facts):
    create = client(facts, timeout=0.5).chat.completions.create
    asked = {"model": "slow", "messages": USER, "response_model": City, "max_retries": 1}
    error, seconds = took(lambda: raised(Exception, create, **asked))
    assert isinstance(cause(error), openai.APITimeoutError)
    assert seconds < 3, seconds


if __name__ == "__main__":
    main()
