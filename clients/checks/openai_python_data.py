"""Checks of OpenAI's Python SDK: conversations, files and vector stores, and the gateway's datasets."""

import time
from pathlib import Path
from typing import Any

import openai
from harness import check, raised, raised_async
from openai import AsyncOpenAI
from openai_python_client import client

NOTES = ("notes.txt", b"The office opens at nine.\n\nLunch is at noon.\n", "text/plain")
QUESTION = "When does the office open?"
#: Milliseconds between two polls of a file.
OFTEN = 200


def ask(sdk: Any, thread: str, text: str, **more: Any) -> Any:
    return sdk.chat.completions.create(
        model="chat",
        messages=[{"role": "user", "content": text}],
        extra_headers={"X-GT-Conversation-Id": thread},
        **more,
    )


@check("conversations")
def items_page_by_page(facts):
    said = [{"type": "message", "role": "user", "content": f"number {n}"} for n in range(5)]
    with client(facts) as sdk:
        made = sdk.conversations.create(items=said)
        listed = list(sdk.conversations.items.list(made.id, limit=2, order="asc"))
        assert [item.content[0].text for item in listed] == [f"number {n}" for n in range(5)]
        after = sdk.conversations.items.list(made.id, after=listed[3].id, order="asc")
        assert [item.id for item in after.data] == [listed[4].id]


@check("conversations", name="a conversation remembers, whole and streamed")
def a_thread_remembers(facts):
    with client(facts) as sdk:
        thread = sdk.conversations.create().id
        assert ask(sdk, thread, "My name is Ada.").choices[0].message.content == "You said: My name is Ada."
        whole = ask(sdk, thread, "What did I say?").choices[0].message.content
        chunks = list(ask(sdk, thread, "What did I say?", stream=True))
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert whole == "My name is Ada."
        assert streamed == "My name is Ada. What did I say?"
        assert len(list(sdk.conversations.items.list(thread))) == 6


@check("conversations", name="async")
async def conversations_async(facts):
    async with client(facts, AsyncOpenAI) as sdk:
        made = await sdk.conversations.create(metadata={"topic": "bikes"})
        assert (await sdk.conversations.retrieve(made.id)).metadata == {"topic": "bikes"}
        items = [item async for item in sdk.conversations.items.list(made.id)]
        assert items == []
        assert (await sdk.conversations.delete(made.id)).deleted
        await raised_async(openai.NotFoundError, sdk.conversations.retrieve(made.id))


@check("files")
def from_disk_with_a_name_of_many_letters(facts):
    path = Path(facts.folder) / "Übersicht 東京.txt"
    path.write_bytes(NOTES[1])
    with client(facts) as sdk:
        made = sdk.files.create(file=path, purpose="user_data")
        assert (made.filename, made.bytes, made.purpose) == (path.name, len(NOTES[1]), "user_data")
        with sdk.files.with_streaming_response.content(made.id) as content:
            assert b"".join(content.iter_bytes()) == NOTES[1]
        sdk.files.delete(made.id)


@check("files")
def pages_of_a_list(facts):
    with client(facts) as sdk:
        made = [sdk.files.create(file=(f"{n}.txt", b"%d" % n), purpose="assistants").id for n in range(3)]
        listed = [file.id for file in sdk.files.list(limit=2, order="asc", purpose="assistants")]
        assert [one for one in listed if one in made] == made
        for one in made:
            assert sdk.files.delete(one).deleted


@check("files", name="async")
async def files_async(facts):
    async with client(facts, AsyncOpenAI) as sdk:
        made = await sdk.files.create(file=NOTES, purpose="assistants")
        done = await sdk.files.wait_for_processing(made.id, poll_interval=0.2)
        assert done.status == "processed"
        assert (await sdk.files.content(made.id)).content == NOTES[1]
        await sdk.files.delete(made.id)


@check("files")
def empty_ones_and_unknown_ones(facts):
    with client(facts) as sdk:
        error = raised(openai.BadRequestError, sdk.files.create, file=("a.txt", b""), purpose="assistants")
        assert error.param == "file"
        raised(openai.NotFoundError, sdk.files.retrieve, "file-unknown")
        raised(openai.NotFoundError, sdk.files.content, "file-unknown")


@check("vector stores")
def made_changed_listed_and_deleted(facts):
    with client(facts) as sdk:
        made = sdk.vector_stores.create(name="Notes of the office", metadata={"topic": "office"})
        assert (made.name, made.metadata, made.file_counts.total) == (
            "Notes of the office",
            {"topic": "office"},
            0,
        )
        assert sdk.vector_stores.retrieve(made.id).id == made.id
        assert sdk.vector_stores.update(made.id, name="Other notes").name == "Other notes"
        assert made.id in [store.id for store in sdk.vector_stores.list(limit=2)]
        assert sdk.vector_stores.delete(made.id).deleted
        raised(openai.NotFoundError, sdk.vector_stores.retrieve, made.id)


@check("vector stores")
def upload_poll_and_search(facts):
    with client(facts) as sdk:
        store = sdk.vector_stores.create(name="office").id
        file = sdk.vector_stores.files.upload_and_poll(
            vector_store_id=store, file=NOTES, attributes={"year": 2026}, poll_interval_ms=OFTEN
        )
        assert (file.status, file.last_error, file.attributes) == ("completed", None, {"year": 2026})
        counts = sdk.vector_stores.retrieve(store).file_counts
        assert (counts.completed, counts.total) == (1, 1)
        assert [one.id for one in sdk.vector_stores.files.list(store)] == [file.id]
        found = sdk.vector_stores.search(store, query=QUESTION).data
        assert found[0].file_id == file.id
        assert found[0].filename == "notes.txt"
        assert "opens at nine" in found[0].content[0].text
        content = sdk.vector_stores.files.content(file.id, vector_store_id=store)
        assert "Lunch is at noon." in "".join(part.text or "" for part in content)
        assert sdk.vector_stores.files.delete(file.id, vector_store_id=store).deleted
        assert sdk.vector_stores.search(store, query=QUESTION).data == []
        sdk.vector_stores.delete(store)


@check("vector stores")
def filters_on_attributes(facts):
    with client(facts) as sdk:
        store = sdk.vector_stores.create(name="years").id
        for year in (2025, 2026):
            sdk.vector_stores.files.upload_and_poll(
                vector_store_id=store,
                file=(f"{year}.txt", b"The office opens at nine in %d." % year),
                attributes={"year": year},
                poll_interval_ms=OFTEN,
            )
        newer = {"type": "gt", "key": "year", "value": 2025}
        found = sdk.vector_stores.search(store, query=QUESTION, filters=newer).data
        assert {one.filename for one in found} == {"2026.txt"}
        sdk.vector_stores.files.update(found[0].file_id, vector_store_id=store, attributes={"year": 2020})
        assert sdk.vector_stores.search(store, query=QUESTION, filters=newer).data == []
        sdk.vector_stores.delete(store)


@check("vector stores")
def file_that_is_there_already_in_a_batch(facts):
    with client(facts) as sdk:
        store = sdk.vector_stores.create(name="batch").id
        known = sdk.files.create(file=NOTES, purpose="assistants")
        batch = sdk.vector_stores.file_batches.upload_and_poll(
            vector_store_id=store,
            files=[("one.txt", b"The bakery opens at six."), ("two.md", b"# Museum\n\nIt opens at ten.")],
            file_ids=[known.id],
            poll_interval_ms=OFTEN,
        )
        assert (batch.status, batch.file_counts.completed, batch.file_counts.failed) == ("completed", 3, 0)
        listed = sdk.vector_stores.file_batches.list_files(batch.id, vector_store_id=store)
        assert len(list(listed)) == 3
        assert len(list(sdk.vector_stores.files.list(store, filter="completed"))) == 3
        sdk.vector_stores.delete(store)


@check("vector stores")
def broken_file_is_failed_with_a_reason(facts):
    with client(facts) as sdk:
        store = sdk.vector_stores.create(name="broken").id
        file = sdk.vector_stores.files.upload_and_poll(
            vector_store_id=store, file=("broken.pdf", b"%PDF-1.7\nno more"), poll_interval_ms=OFTEN
        )
        assert file.status == "failed"
        assert file.last_error.code in ("invalid_file", "unsupported_file", "server_error")
        assert file.last_error.message
        sdk.vector_stores.delete(store)


@check("vector stores", name="async")
async def vector_stores_async(facts):
    async with client(facts, AsyncOpenAI) as sdk:
        store = (await sdk.vector_stores.create(name="async")).id
        file = await sdk.vector_stores.files.upload_and_poll(
            vector_store_id=store, file=NOTES, poll_interval_ms=OFTEN
        )
        assert file.status == "completed"
        found = [one async for one in sdk.vector_stores.search(store, query=QUESTION)]
        assert "opens at nine" in found[0].content[0].text
        await sdk.vector_stores.delete(store)


@check("datasets", name="upload, poll and search by the SDK's plain HTTP methods")
def datasets_by_plain_methods(facts):
    with client(facts) as sdk:
        made = sdk.post("/datasets", cast_to=object, body={"name": f"sdk-{time.monotonic_ns()}"})
        place = f"/datasets/{made['id']}"
        file = sdk.post(
            f"{place}/files",
            cast_to=object,
            files=[("file", NOTES)],
            options={"headers": {"Content-Type": "multipart/form-data"}},
        )
        assert file["status"] in ("uploaded", "processing", "ready")
        while file["status"] in ("uploaded", "processing"):
            time.sleep(0.2)
            file = sdk.get(f"/files/{file['id']}", cast_to=object)
        assert (file["status"], file["progress"]) == ("ready", 100)
        found = sdk.post(f"{place}/search", cast_to=object, body={"query": QUESTION})["data"]
        assert found[0]["file_id"] == file["id"]
        sdk.delete(place, cast_to=object)
