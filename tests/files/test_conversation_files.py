"""Uploads into conversations."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.files.storage import default_storage
from django.db import transaction

from files.models import Dataset, File
from inference.chat import conversations
from inference.models import Conversation
from tests import factories
from tests.waiting import another_connection_waits, eventually
from tests.wire import PLAIN, envelope

TEXT = b"The office opens at nine."
HEADER = "X-GT-Conversation-Id"


@pytest.fixture
def thread(http):
    return http.post("/conversations").json()["id"]


def upload(client, thread, content=TEXT, **more):
    return client.post(
        "/conversations/files", files={"file": ("notes.txt", content)}, headers={HEADER: thread}, **more
    )


def test_upload_belongs_to_its_conversation(http, thread, world):
    world.tenant.embedding = "fast"
    world.tenant.save()
    answer = upload(http, thread)
    assert answer.status_code == 200
    assert answer.headers[HEADER] == thread
    stored_file = answer.json()
    assert (stored_file["status"], stored_file["dataset_id"]) == ("uploaded", None)
    dataset = Conversation.objects.get(pk=thread).dataset
    assert (dataset.hidden, dataset.name, dataset.embedding) == (True, thread, "fast")
    assert [dataset_file.file_id for dataset_file in dataset.dataset_files.all()] == [stored_file["id"]]
    assert http.get(f"/files/{stored_file['id']}").json()["status"] in (
        "uploaded",
        "processing",
        "failed",
        "ready",
    )
    assert http.get(f"/files/{stored_file['id']}/content").content == TEXT
    assert [file["id"] for file in http.get("/files").json()["data"]] == [stored_file["id"]]


def test_conversation_uses_the_embedding_changed_during_its_upload(http, thread, world):
    with ThreadPoolExecutor(1) as beside:
        with transaction.atomic():
            world.tenant.embedding = "fast"
            world.tenant.save()
            sent = beside.submit(upload, http, thread)
            with pytest.raises(TimeoutError):
                sent.result(timeout=0.5)
        assert sent.result(timeout=20).status_code == 200
    assert Conversation.objects.get(pk=thread).dataset.embedding == "fast"


def test_upload_into_a_deleted_conversation_names_the_conversation(http, thread):
    upload(http, thread)
    conversation = Conversation.objects.get(pk=thread)
    with ThreadPoolExecutor(1) as beside:
        with transaction.atomic():
            Dataset.objects.select_for_update().get(pk=conversation.dataset_id)
            sent = beside.submit(upload, http, thread, b"Another one.")
            # It has found its thread, and is about to put the file into it.
            eventually(another_connection_waits)
            conversations.remove(conversation)
        error = envelope(sent.result(timeout=20), 404, "conversation_not_found")
    assert thread in error["message"]
    assert conversation.dataset_id not in error["message"]
    assert not File.objects.filter(tenant=conversation.tenant_id).exists()


def test_same_content_returns_the_existing_file(http, thread):
    assert upload(http, thread).json()["id"] == upload(http, thread).json()["id"]
    second = upload(http, thread, b"Another one.").json()
    assert Dataset.objects.filter(name=thread).count() == 1
    assert Conversation.objects.get(pk=thread).dataset.dataset_files.count() == 2
    assert second["status"] == "uploaded"


def test_conversation_header_is_required(http):
    error = envelope(
        http.post("/conversations/files", files={"file": ("a.txt", TEXT)}), 400, "missing_required_parameter"
    )
    assert error["param"] == HEADER


def test_conversation_of_another_key_is_404(http, thread, world, gateway, upstream):
    file = upload(http, thread).json()
    strangers = (factories.key(world.tenant), factories.world(upstream.base_url).key)
    for stranger in strangers:
        headers = {"authorization": f"Bearer {stranger.plain}"}
        messages = [
            envelope(
                PLAIN.post(
                    f"{gateway.base_url}/conversations/files",
                    files={"file": ("a.txt", TEXT)},
                    headers={**headers, HEADER: name},
                ),
                404,
                "conversation_not_found",
            )["message"].replace(name, "X")
            for name in (thread, "conv_none")
        ]
        assert messages[0] == messages[1]
        for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
            answer = PLAIN.request(method, f"{gateway.base_url}/files/{file['id']}{path}", headers=headers)
            envelope(answer, 404, "file_not_found")
    assert Conversation.objects.get(pk=thread).dataset.dataset_files.count() == 1


def test_conversation_scope_is_required(http, thread, world, gateway):
    key = factories.key(world.tenant, scopes=["files:write"])
    refused = PLAIN.post(
        f"{gateway.base_url}/conversations/files",
        files={"file": ("a.txt", TEXT)},
        headers={"authorization": f"Bearer {key.plain}", HEADER: thread},
    )
    assert "conversations:write" in envelope(refused, 403, "insufficient_scope")["message"]


def test_files_of_an_end_user_are_visible_only_to_that_user(http):
    thread = http.post("/conversations", json={"user": "ada"}).json()["id"]
    for more in ({}, {"data": {"user": "eve"}}, {"params": {"user": "eve"}}):
        envelope(upload(http, thread, **more), 404, "conversation_not_found")
    stored_file = upload(http, thread, params={"user": "ada"}).json()
    named = upload(http, thread, b"Two.", data={"user": "ada"}).json()
    for file in (stored_file, named):
        for user, status in (("ada", 200), ("eve", 404), ("", 404), ("a\0", 404)):
            query = {"user": user} if user else {}
            assert http.get(f"/files/{file['id']}", params=query).status_code == status
            assert http.get(f"/files/{file['id']}/content", params=query).status_code == status
        envelope(http.delete(f"/files/{file['id']}"), 404, "file_not_found")
    assert http.get("/files").json()["data"] == []
    assert len(http.get("/files", params={"user": "ada"}).json()["data"]) == 2
    assert http.delete(f"/files/{stored_file['id']}", params={"user": "ada"}).json()["deleted"]


def test_files_are_deleted_with_their_conversation(http, thread):
    file = upload(http, thread).json()
    path = File.objects.get(pk=file["id"]).path
    assert default_storage.exists(path)
    assert http.delete(f"/conversations/{thread}").status_code == 200
    envelope(http.get(f"/files/{file['id']}"), 404, "file_not_found")
    assert not Dataset.objects.filter(name=thread).exists()
    assert not default_storage.exists(path)


def test_conversation_dataset_is_hidden_from_the_api(http, thread):
    upload(http, thread)
    dataset = Conversation.objects.get(pk=thread).dataset
    envelope(http.get(f"/datasets/{dataset.pk}/files"), 404, "dataset_not_found")
    assert dataset.pk not in http.get("/datasets").text


def test_files_is_not_a_conversation_id(http):
    assert http.get("/conversations/files").status_code == 405
