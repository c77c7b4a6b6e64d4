"""Checks of curl commands as they are pasted into a shell."""

import base64
import json
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import check, main, took

MESSAGES = [{"role": "user", "content": "Hello"}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": CITY}}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers["content-type"].startswith("application/json"), self.headers
        return json.loads(self.body)

    def error(self, status: int, code: str) -> dict[str, Any]:
        assert self.status == status, self.body
        assert self.headers["x-request-id"].startswith("req_")
        error = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}, error
        assert error["code"] == code, error
        return error

    def events(self) -> list[Any]:
        assert self.status == 200, self.body
        assert self.headers["content-type"].startswith("text/event-stream"), self.headers
        lines = [
            line.removeprefix("data: ")
            for line in self.body.decode().split("\n")
            if line.startswith("data: ")
        ]
        return [line if line == "[DONE]" else json.loads(line) for line in lines]


def curl(facts: Any, path: str, *arguments: str, key: str | None = None, base: str | None = None) -> Answer:
    """Run curl and require exit status 0."""
    bearer = ["-H", f"Authorization: Bearer {facts.api_key if key is None else key}"] if key != "" else []
    with tempfile.NamedTemporaryFile(mode="r") as head:
        command = ["curl", "-sS", "--max-time", "30", "-D", head.name, *bearer, *arguments]
        done = subprocess.run([*command, (base or facts.base_url) + path], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        # The headers of an interim response ("100 Continue") precede the final ones.
        first, *lines = head.read().strip().split("\n\n")[-1].splitlines()
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(first.split()[1]), headers, done.stdout)


def post(facts: Any, path: str, body: Any, *arguments: str, **more: Any) -> Answer:
    data = ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    return curl(facts, path, *data, *arguments, **more)


def upload(content: bytes, ending: str) -> Path:
    with tempfile.NamedTemporaryFile(suffix=ending, delete=False) as file:
        file.write(content)
    return Path(file.name)


SOUND = upload(b"RIFF" + bytes(20000), ".wav")
PICTURE = upload(b"\x89PNG\r\n\x1a\n" + bytes(100), ".png")


@check("models")
def list_of_models(facts):
    listed = curl(facts, "/models").json
    assert listed["object"] == "list"
    assert {"chat", "embedder", "org/name:tag"} <= {model["id"] for model in listed["data"]}


@check("models")
def one_model_with_a_slash_in_its_id(facts):
    assert curl(facts, "/models/org/name:tag").json["id"] == "org/name:tag"
    assert curl(facts, "/models/org%2Fname%3Atag").json["id"] == "org/name:tag"


@check("chat")
def whole_answer(facts):
    answer = post(facts, "/chat/completions", {"model": "chat", "messages": MESSAGES})
    assert answer.status == 200
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.json["choices"][0]["message"]["content"] == "You said: Hello"
    assert answer.json["model"] == "chat"


@check("chat")
def long_body_that_waits_for_100_continue(facts):
    long = "word " * 400_000
    messages = [{"role": "user", "content": long}]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as body:
        json.dump({"model": "chat", "messages": messages}, body)
        body.flush()
        arguments = ["-H", "Content-Type: application/json", "-H", "Expect: 100-continue"]
        answer = curl(facts, "/chat/completions", *arguments, "--data-binary", f"@{body.name}")
    assert answer.json["choices"][0]["message"]["content"] == f"You said: {long}"


@check("chat")
def http2_is_asked_for_and_declined(facts):
    answer = post(facts, "/chat/completions", {"model": "chat", "messages": MESSAGES}, "--http2")
    assert answer.status == 200, answer


@check("chat stream")
def stream(facts):
    body = {"model": "chat", "messages": MESSAGES, "stream": True}
    *chunks, last = post(facts, "/chat/completions", body, "-N").events()
    assert last == "[DONE]"
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks) == "You said: Hello"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


@check("chat stream")
def usage_at_the_end_of_a_stream(facts):
    options = {"include_usage": True}
    body = {"model": "chat", "messages": MESSAGES, "stream": True, "stream_options": options}
    *chunks, _ = post(facts, "/chat/completions", body, "-N").events()
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] == 18


@check("tools")
def call_and_its_result(facts):
    body = {"model": "chat", "messages": MESSAGES, "tools": [WEATHER]}
    message = post(facts, "/chat/completions", body).json["choices"][0]["message"]
    call = message["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == {"city": "Bonn"}
    result = {"role": "tool", "tool_call_id": call["id"], "content": "sunny"}
    answer = post(facts, "/chat/completions", {**body, "messages": [*MESSAGES, message, result]}).json
    assert answer["choices"][0]["message"]["content"] == "It is sunny in Bonn."


@check("structured")
def json_schema(facts):
    schema = {"name": "city", "strict": True, "schema": {**CITY, "additionalProperties": False}}
    body = {
        "model": "chat",
        "messages": MESSAGES,
        "response_format": {"type": "json_schema", "json_schema": schema},
    }
    answer = post(facts, "/chat/completions", body).json
    assert json.loads(answer["choices"][0]["message"]["content"]) == {"city": "Bonn"}


@check("embeddings")
def floats_for_texts_and_token_ids(facts):
    for given, count in (("Hello", 1), (["a", "b"], 2), ([1, 2, 3], 1), ([[1, 2], [3]], 2)):
        answer = post(facts, "/embeddings", {"model": "embedder", "input": given, "dimensions": 4}).json
        assert [item["index"] for item in answer["data"]] == list(range(count))
        assert all(len(item["embedding"]) == 4 for item in answer["data"])


@check("embeddings")
def base64_vectors(facts):
    answer = post(
        facts, "/embeddings", {"model": "embedder", "input": "Hello", "encoding_format": "base64"}
    ).json
    assert len(base64.b64decode(answer["data"][0]["embedding"])) == 8 * 4


@check("completions")
def whole_and_streamed(facts):
    body = {"model": "chat", "prompt": "Once"}
    assert post(facts, "/completions", body).json["choices"][0]["text"] == "Once upon a time."
    *chunks, last = post(facts, "/completions", {**body, "stream": True}, "-N").events()
    assert last == "[DONE]"
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "Once upon a time."


def transcribe(facts, route, *fields):
    form = [part for one in ("model=transcriber", *fields) for part in ("-F", one)]
    return curl(facts, f"/audio/{route}", "-F", f"file=@{SOUND}", *form)


@check("transcriptions")
def every_format(facts):
    assert transcribe(facts, "transcriptions").json["text"] == "The quick brown fox."
    for kind, start in (("text", b"The quick"), ("srt", b"1\n00:00:00,000 -->"), ("vtt", b"WEBVTT")):
        answer = transcribe(facts, "transcriptions", f"response_format={kind}")
        assert answer.headers["content-type"].startswith("text/plain"), answer.headers
        assert answer.body.startswith(start), answer.body
    verbose = transcribe(
        facts, "transcriptions", "response_format=verbose_json", "timestamp_granularities[]=word"
    )
    assert verbose.json["segments"][0]["end"] == 1.5
    assert verbose.json["words"][0]["word"] == "The"


@check("transcriptions")
def events(facts):
    found = transcribe(facts, "transcriptions", "stream=true").events()
    assert found[-1]["type"] == "transcript.text.done"
    assert "".join(event["delta"] for event in found[:-1]) == "The quick brown fox."


@check("translations")
def a_translation(facts):
    assert transcribe(facts, "translations").json["text"] == "The quick brown fox."


@check("speech")
def sound_in_a_file(facts):
    answer = post(facts, "/audio/speech", {"model": "speaker", "input": "Hello", "voice": "alloy"})
    assert answer.headers["content-type"] == "audio/mpeg"
    assert len(answer.body) == 8000


@check("images")
def generation_as_base64(facts):
    answer = post(
        facts, "/images/generations", {"model": "painter", "prompt": "A cat", "response_format": "b64_json"}
    )
    assert base64.b64decode(answer.json["data"][0]["b64_json"]).startswith(b"\x89PNG")


@check("images")
def generation_as_an_address_that_needs_no_key(facts):
    answer = post(
        facts, "/images/generations", {"model": "painter", "prompt": "A cat", "response_format": "url"}
    )
    url = answer.json["data"][0]["url"]
    assert url.startswith(facts.url), url
    fetched = curl(facts, "", base=url, key="")
    assert fetched.headers["content-type"] == "image/png"
    assert fetched.body.startswith(b"\x89PNG")


@check("images")
def edit_with_a_mask_and_variation(facts):
    form = ["-F", "model=painter", "-F", "prompt=A hat", "-F", f"image=@{PICTURE}", "-F", f"mask=@{PICTURE}"]
    assert curl(facts, "/images/edits", *form).json["data"][0]["b64_json"]
    form = ["-F", "model=painter", "-F", "n=2", "-F", f"image=@{PICTURE}"]
    assert len(curl(facts, "/images/variations", *form).json["data"]) == 2


@check("moderations")
def one_text_and_several(facts):
    answer = post(facts, "/moderations", {"model": "moderator", "input": "I will kill you"}).json
    assert answer["results"][0]["flagged"] is True
    assert answer["results"][0]["categories"]["violence"] is True
    answer = post(facts, "/moderations", {"model": "moderator", "input": ["Hello", "I will kill you"]}).json
    assert [result["flagged"] for result in answer["results"]] == [False, True]


NOTES = upload(b"The office opens at nine.\n\nLunch is at noon.\n", ".txt")
QUESTION = "When does the office open?"


def wait_for(facts, file):
    """Poll a file until it is processed, as the guide describes."""
    while file["status"] in ("uploaded", "processing"):
        time.sleep(0.2)
        file = curl(facts, f"/files/{file['id']}").json
    return file


@check("conversations")
def thread_that_remembers(facts):
    thread = curl(facts, "/conversations", "-X", "POST").json["id"]
    go_on = ["-H", f"X-GT-Conversation-Id: {thread}"]
    for text, said in (("I am Ada.", "You said: I am Ada."), ("What did I say?", "I am Ada.")):
        body = {"model": "chat", "messages": [{"role": "user", "content": text}]}
        answer = post(facts, "/chat/completions", body, *go_on)
        assert answer.headers["x-gt-conversation-id"] == thread
        assert answer.json["choices"][0]["message"]["content"] == said
    assert len(curl(facts, f"/conversations/{thread}/items").json["data"]) == 4
    assert curl(facts, f"/conversations/{thread}", "-X", "DELETE").json["deleted"] is True
    curl(facts, f"/conversations/{thread}").error(404, "conversation_not_found")


@check("files")
def made_read_and_deleted(facts):
    made = curl(facts, "/files", "-F", "purpose=assistants", "-F", f"file=@{NOTES}").json
    assert (made["object"], made["status"]) == ("file", "processed")
    assert made["id"] in [file["id"] for file in curl(facts, "/files").json["data"]]
    assert curl(facts, f"/files/{made['id']}/content").body == NOTES.read_bytes()
    assert curl(facts, f"/files/{made['id']}", "-X", "DELETE").json["deleted"] is True
    curl(facts, f"/files/{made['id']}").error(404, "file_not_found")


@check("files")
def file_of_a_conversation(facts):
    thread = curl(facts, "/conversations", "-X", "POST").json["id"]
    go_on = ["-H", f"X-GT-Conversation-Id: {thread}"]
    made = curl(facts, "/conversations/files", *go_on, "-F", f"file=@{NOTES}").json
    assert wait_for(facts, made)["status"] == "ready"
    curl(facts, "/conversations/files", "-F", f"file=@{NOTES}").error(400, "missing_required_parameter")


@check("datasets")
def upload_poll_and_search(facts):
    made = post(facts, "/datasets", {"name": f"curl-{time.monotonic_ns()}"}).json
    place = f"/datasets/{made['id']}"
    file = curl(facts, f"{place}/files", "-F", f"file=@{NOTES}").json
    done = wait_for(facts, file)
    assert (done["status"], done["progress"]) == ("ready", 100)
    assert [one["id"] for one in curl(facts, f"{place}/files").json["data"]] == [file["id"]]
    again = curl(facts, f"{place}/files", "-F", f"file=@{NOTES}")
    assert (again.status, again.json["id"], again.json["status"]) == (200, file["id"], "ready")
    found = post(facts, f"{place}/search", {"query": QUESTION}).json["data"]
    assert found[0]["file_id"] == file["id"]
    assert curl(facts, place, "-X", "DELETE").json["deleted"] is True
    curl(facts, place).error(404, "dataset_not_found")


@check("datasets")
def broken_file_fails_with_a_sentence(facts):
    made = post(facts, "/datasets", {"name": f"curl-{time.monotonic_ns()}"}).json
    broken = upload(b"%PDF-1.7\nno more", ".pdf")
    done = wait_for(facts, curl(facts, f"/datasets/{made['id']}/files", "-F", f"file=@{broken}").json)
    assert done["status"] == "failed"
    assert done["error"]["code"]
    assert done["error"]["message"].endswith(".")


@check("vector stores")
def file_in_a_store_and_search(facts):
    store = post(facts, "/vector_stores", {"name": "office"}).json["id"]
    file = curl(facts, "/files", "-F", "purpose=assistants", "-F", f"file=@{NOTES}").json["id"]
    place = f"/vector_stores/{store}/files"
    state = post(facts, place, {"file_id": file}).json
    while state["status"] == "in_progress":
        time.sleep(0.2)
        state = curl(facts, f"{place}/{file}").json
    assert (state["object"], state["status"]) == ("vector_store.file", "completed")
    found = post(facts, f"/vector_stores/{store}/search", {"query": QUESTION}).json
    assert "opens at nine" in found["data"][0]["content"][0]["text"]
    assert curl(facts, f"/vector_stores/{store}", "-X", "DELETE").json["deleted"] is True


@check("errors")
def no_key_a_wrong_one_and_a_limited_one(facts):
    curl(facts, "/models", key="").error(401, "invalid_api_key")
    curl(facts, "/models", key="gtak_wrong").error(401, "invalid_api_key")
    body = {"model": "chat", "messages": MESSAGES}
    error = post(facts, "/chat/completions", body, key=facts.limited_key).error(403, "insufficient_scope")
    assert "inference:chat" in error["message"]


@check("errors")
def requests_that_are_wrong(facts):
    post(facts, "/chat/completions", {"model": "unknown-model", "messages": MESSAGES}).error(
        404, "model_not_found"
    )
    curl(facts, "/no/such/route").error(404, "unknown_url")
    curl(facts, "/chat/completions").error(405, "method_not_allowed")
    error = post(facts, "/chat/completions", {"model": "chat", "messages": "Hello"}).error(
        400, "invalid_type"
    )
    assert error["param"] == "messages"
    curl(facts, "/chat/completions", "-H", "Content-Type: application/json", "-d", "{").error(
        400, "invalid_json"
    )
    # Without a content type curl sends a body as a form.
    curl(facts, "/chat/completions", "-d", json.dumps({"model": "chat", "messages": MESSAGES})).error(
        415, "unsupported_media_type"
    )
    post(facts, "/embeddings", {"model": "chat", "input": "Hello"}).error(400, "unsupported_model")


@check("errors")
def failures_of_the_provider(facts):
    body = {"messages": MESSAGES}
    post(facts, "/chat/completions", {**body, "model": "failing"}).error(502, "upstream_error")
    post(facts, "/chat/completions", {**body, "model": "too-long"}).error(400, "context_length_exceeded")
    limited = post(facts, "/chat/completions", {**body, "model": "limited"})
    limited.error(429, "rate_limit_exceeded")
    assert limited.headers["retry-after"] == "7"
    events = post(facts, "/chat/completions", {**body, "model": "breaking-stream", "stream": True}).events()
    assert events[-1]["error"]["code"] == "upstream_error"


@check("retries")
def retry_option_waits_for_retry_after(facts):
    messages = [{"role": "user", "content": f"curl {time.monotonic_ns()}"}]
    body = {"model": "flaky", "messages": messages}
    answer, seconds = took(lambda: post(facts, "/chat/completions", body, "--retry", "2"))
    # curl prints everything it received, including the error.
    assert b"rate_limit_exceeded" in answer.body
    assert b"You said: curl" in answer.body
    assert 1.9 < seconds < 10, seconds


@check("timeouts")
def ours_is_a_504(facts):
    post(facts, "/chat/completions", {"model": "stuck", "messages": MESSAGES}).error(504, "upstream_timeout")


def version() -> str:
    said = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=False).stdout
    return said.split()[1] if said else ""


if __name__ == "__main__":
    main(version())
