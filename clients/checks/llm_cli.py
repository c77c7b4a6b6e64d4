"""Checks of llm, the command-line tool, with models from `extra-openai-models.yaml`."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from harness import check, main, took

MODELS = (
    "chat",
    "unknown-model",
    "limited",
    "failing",
    "too-long",
    "flaky",
    "stuck",
    "breaking-stream",
    "cut-stream",
)
FUNCTIONS = """
def weather(city: str) -> str:
    "The weather in a city"
    return "sunny in " + city
"""
SCHEMA = "name, people int"


def llm(facts: Any, *arguments: str, key: str = "", status: int = 0) -> str:
    """Run llm; returns its output, or its error output if another exit status is expected."""
    folder = Path(facts.folder) / "llm"
    folder.mkdir(exist_ok=True)
    models = [
        {"model_id": f"gt-{name}", "model_name": name, "api_base": facts.base_url, "api_key_name": "gateway",
         "supports_tools": True, "supports_schema": True}
        for name in MODELS
    ]  # fmt: skip
    models.append({**models[0], "model_id": "gt-completion", "completion": True, "supports_tools": False})
    # JSON is valid YAML.
    (folder / "extra-openai-models.yaml").write_text(json.dumps(models))
    (folder / "keys.json").write_text(json.dumps({"gateway": key or facts.api_key}))
    program = str(Path(sys.executable).parent / "llm")
    done = subprocess.run(
        [program, *arguments], env={**os.environ, "LLM_USER_PATH": str(folder)}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == status, f"{done.returncode}: {done.stderr[-500:]}"
    return (done.stdout if status == 0 else done.stderr).strip()


@check("chat")
def one_answer_and_the_next(facts):
    assert llm(facts, "-m", "gt-chat", "--no-stream", "-s", "Be brief", "Hello") == "You said: Hello"
    assert llm(facts, "--continue", "--no-stream", "Again") == "You said: Again"


@check("chat")
def usage_is_logged(facts):
    llm(facts, "-m", "gt-chat", "--no-stream", "Hello")
    logged = json.loads(llm(facts, "logs", "-n", "1", "--json"))[0]
    assert (logged["input_tokens"], logged["output_tokens"]) == (11, 7)


@check("chat stream")
def stream(facts):
    assert llm(facts, "-m", "gt-chat", "Hello") == "You said: Hello"
    assert llm(facts, "-m", "gt-chat", "--async", "Hello") == "You said: Hello"


@check("tools")
def functions_whole_and_streamed(facts):
    for more in (["--no-stream"], []):
        asked = ["-m", "gt-chat", "--functions", FUNCTIONS, "--td", *more, "The weather in both cities?"]
        assert llm(facts, *asked).endswith("It is sunny in Bonn.")


@check("structured")
def schema(facts):
    for more in (["--no-stream"], []):
        words = llm(facts, "-m", "gt-chat", "--schema", SCHEMA, *more, "A city")
        assert json.loads(words) == {"name": "Bonn", "people": 335000}


@check("completions")
def completion(facts):
    assert llm(facts, "-m", "gt-completion", "--no-stream", "Once") == "Once upon a time."
    assert llm(facts, "-m", "gt-completion", "Once") == "Once upon a time."


@check("errors")
def messages_of_ours_are_shown(facts):
    said = llm(facts, "-m", "gt-chat", "--no-stream", "Hello", key="gtak_wrong", status=1)
    assert "Incorrect API key" in said, said
    said = llm(facts, "-m", "gt-chat", "--no-stream", "Hello", key=facts.limited_key, status=1)
    assert "inference:chat" in said, said
    said = llm(facts, "-m", "gt-unknown-model", "Hello", status=1)
    assert "'unknown-model' does not exist" in said, said
    said = llm(facts, "-m", "gt-too-long", "Hello", status=1)
    assert "context length" in said, said


@check("errors")
def stream_that_breaks(facts):
    for model in ("gt-breaking-stream", "gt-cut-stream"):
        said = llm(facts, "-m", model, "Hello", status=1)
        assert "could not answer" in said, said


@check("retries")
def waits_for_retry_after(facts):
    asked = f"llm {time.monotonic_ns()}"
    said, seconds = took(lambda: llm(facts, "-m", "gt-flaky", "--no-stream", asked))
    assert said == f"You said: {asked}"
    assert seconds > 1.9, seconds


@check("timeouts")
def ours_is_an_error(facts):
    said = llm(facts, "-m", "gt-stuck", "--no-stream", "Hello", status=1)
    assert "did not respond in time" in said, said


if __name__ == "__main__":
    main()
