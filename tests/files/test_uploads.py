"""Files as OpenAI's clients send, list, fetch and delete them."""

import hashlib

import openai
import pytest
from django.core.files.storage import default_storage

from files.models import File
from files.storage import clean_filename
from tests import factories
from tests.wire import PLAIN, envelope

TEXT = b"The office opens at nine."


def upload(client, name="notes.txt", data=TEXT, purpose="assistants"):
    return client.files.create(file=(name, data), purpose=purpose)


def test_sdk_uploads_and_retrieves_a_file(client, world):
    file = upload(client)
    assert (file.filename, file.bytes, file.purpose) == ("notes.txt", 25, "assistants")
    assert client.files.retrieve(file.id) == file
    row = File.objects.get(pk=file.id)
    assert (row.tenant_id, row.key_id, row.origin) == (world.tenant.pk, world.key.row.pk, "files")
    assert row.sha256 == hashlib.sha256(TEXT).hexdigest()
    assert client.files.wait_for_processing(file.id).status == "processed"


def test_downloaded_file_equals_the_upload(client):
    data = bytes(range(256)) * 4096
    file = upload(client, "photo.png", data)
    assert client.files.content(file.id).read() == data


@pytest.mark.parametrize("purpose", ["assistants", "batch", "fine-tune", "vision", "user_data"])
def test_each_purpose_is_stored(http, purpose):
    file = http.post("/files", data={"purpose": purpose}, files={"file": ("a.jsonl", TEXT)}).json()
    assert file["purpose"] == purpose
    assert http.get("/files", params={"purpose": purpose}).json()["data"] == [file]
    assert http.get("/files", params={"purpose": "assistants_output"}).json()["data"] == []


def test_sdk_paginates_a_list(client):
    stored_file = [upload(client, f"{n}.txt", TEXT + bytes([n])).id for n in range(5)]
    assert [file.id for file in client.files.list()] == stored_file[::-1]
    assert [file.id for file in client.files.list(limit=2)] == stored_file[::-1]
    assert [file.id for file in client.files.list(limit=2, order="asc")] == stored_file
    page = client.files.list(limit=2)
    assert page.has_more
    assert [file.id for file in page.data] == stored_file[:2:-1]


def test_deleting_a_file_deletes_its_bytes(client):
    file = upload(client)
    path = File.objects.get(pk=file.id).path
    assert default_storage.exists(path)
    deleted = client.files.delete(file.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (file.id, True, "file")
    assert not default_storage.exists(path)
    for call in (client.files.retrieve, client.files.delete, client.files.content):
        with pytest.raises(openai.NotFoundError) as caught:
            call(file.id)
        assert caught.value.code == "file_not_found"


def test_client_filename_is_not_part_of_any_path(client):
    file = upload(client, "../../etc/passwd")
    assert file.filename == "passwd"
    path = File.objects.get(pk=file.id).path
    assert "passwd" not in path
    assert file.id not in path


NAMES = [
    ("../../etc/passwd", "passwd"),
    (r"C:\Documents\plan.docx", "plan.docx"),
    ("/", "file"),
    ("..", "file"),
    ("  notes.txt ", "notes.txt"),
    ("bell\a.txt", "bell.txt"),
    ("gpj\u202eexe.txt", "gpjexe.txt"),
    ("\u00dcbersicht.pdf", "Übersicht.pdf"),
    ("U\u0308bersicht.pdf", "Übersicht.pdf"),
    ("日本語.txt", "日本語.txt"),
    ("a" * 300 + ".pdf", "a" * 251 + ".pdf"),
    ("b" * 300, "b" * 255),
    ("%2e%2e%2fpasswd", "%2e%2e%2fpasswd"),
]


@pytest.mark.parametrize(("name", "shown"), NAMES)
def test_filename_is_sanitized(http, name, shown):
    body = (
        '--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n'
        f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\nText.\r\n--x--\r\n'
    )
    answer = http.post(
        "/files", content=body.encode(), headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["filename"] == shown


@pytest.mark.parametrize(
    ("name", "shown"), [*NAMES, ("nul\0.txt", "nul.txt"), ("two\nlines.txt", "twolines.txt"), ("", "file")]
)
def test_filename_is_sanitized_from_every_source(name, shown):
    assert clean_filename(name) == shown


def test_file_is_served_as_an_attachment(http):
    evil = b"<script>alert(1)</script>"
    for name, kind, messages in (
        ("page.html", "text/html", "application/octet-stream"),
        ("drawing.svg", "image/svg+xml", "application/octet-stream"),
        ("feed.xml", "application/xml", "application/octet-stream"),
        ("page.html", "", "application/octet-stream"),
        ("notes.txt", "text/plain", "text/plain"),
        ("Übersicht.pdf", "application/pdf", "application/pdf"),
        ("x.bin", "a/b c", "application/octet-stream"),
    ):
        file = (name, evil, kind) if kind else (name, evil)
        stored_file = http.post("/files", data={"purpose": "assistants"}, files={"file": file}).json()
        content = http.get(f"/files/{stored_file['id']}/content")
        assert content.content == evil
        assert content.headers["content-type"] == messages
        assert content.headers["content-length"] == str(len(evil))
        assert content.headers["content-disposition"].startswith("attachment; filename")
        assert content.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in content.headers["content-security-policy"]


def test_content_supports_head_requests(http):
    file = http.post("/files", data={"purpose": "assistants"}, files={"file": ("a.txt", TEXT)}).json()
    head = http.head(f"/files/{file['id']}/content")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(TEXT)), b"")


def test_file_with_missing_bytes_is_404(http):
    file = http.post("/files", data={"purpose": "assistants"}, files={"file": ("a.txt", TEXT)}).json()
    default_storage.delete(File.objects.get(pk=file["id"]).path)
    envelope(http.get(f"/files/{file['id']}/content"), 404, "file_not_found")


def test_files_belong_to_their_key_alone(client, world, gateway, upstream):
    file = upload(client)
    strangers = (factories.key(world.tenant), factories.world(upstream.base_url).key)
    for stranger in strangers:
        headers = {"authorization": f"Bearer {stranger.plain}"}
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/content")):
            messages = [
                envelope(
                    PLAIN.request(method, f"{gateway.base_url}/files/{file_id}{path}", headers=headers),
                    404,
                    "file_not_found",
                )["message"].replace(file_id, "X")
                for file_id in (file.id, "file-none")
            ]
            assert messages[0] == messages[1]
        assert PLAIN.get(f"{gateway.base_url}/files", headers=headers).json()["data"] == []
    assert client.files.retrieve(file.id) == file


def test_rotated_key_keeps_its_files(client, world):
    file = upload(client)
    again = client.with_options(api_key=world.key.row.rotate())
    assert again.files.retrieve(file.id) == file
