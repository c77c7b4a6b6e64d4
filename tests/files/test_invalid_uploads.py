"""Malformed uploads are refused with the API's error envelope and leave nothing behind."""

import pytest

from files.models import File
from tests import factories
from tests.wire import envelope

FORM = {"content-type": "multipart/form-data; boundary=x"}


def part(name, value, filename=None, kind=None) -> bytes:
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"'
    head += f'; filename="{filename}"' if filename is not None else ""
    head += f"\r\nContent-Type: {kind}" if kind else ""
    return f"{head}\r\n\r\n{value}\r\n".encode()


PURPOSE = part("purpose", "assistants")
END = b"--x--\r\n"
BAD = {
    "no file": (PURPOSE + END, "missing_required_parameter", "file"),
    "a file that is none": (PURPOSE + part("file", "Text.") + END, "missing_required_parameter", "file"),
    "another field": (
        PURPOSE + part("upload", "Text.", "a.txt") + END,
        "missing_required_parameter",
        "file",
    ),
    "no choice in a browser": (PURPOSE + part("file", "", "") + END, "missing_required_parameter", "file"),
    "two files": (
        PURPOSE + part("file", "A", "a.txt") + part("file", "B", "b.txt") + END,
        "invalid_value",
        "file",
    ),
    "two fields of files": (
        PURPOSE + part("file", "A", "a.txt") + part("other", "B", "b.txt") + END,
        "invalid_value",
        "file",
    ),
    "an empty file": (PURPOSE + part("file", "", "a.txt") + END, "invalid_value", "file"),
    "no end": (PURPOSE + part("file", "A", "a.txt"), "invalid_form", None),
    "half a form": (PURPOSE + b'--x\r\nContent-Disposition: form-data; name="fi', "invalid_form", None),
    "no form": (b"{}", "invalid_form", None),
    "an empty body": (b"", "invalid_form", None),
    "no name": (b"--x\r\nContent-Disposition: form-data\r\n\r\nA\r\n" + END, "invalid_form", None),
}


@pytest.mark.parametrize("route", ["/files", "dataset", "/conversations/files"])
@pytest.mark.parametrize("bad", BAD)
def test_malformed_form_is_refused(http, world, bad, route):
    headers = dict(FORM)
    if route == "dataset":
        route = f"/datasets/{factories.dataset(world.tenant, keys=[world.key.row]).pk}/files"
    elif route == "/conversations/files":
        headers["x-gt-conversation-id"] = http.post("/conversations").json()["id"]
    body, code, param = BAD[bad]
    error = envelope(http.post(route, content=body, headers=headers), 400, code)
    assert error["param"] == param
    assert not File.objects.filter(tenant=world.tenant).exists()


@pytest.mark.parametrize("purpose", ["", "evals", "assistants_output", "toString", "a" * 1000])
def test_unknown_purpose_is_refused(http, purpose):
    answer = http.post("/files", data={"purpose": purpose}, files={"file": ("a.txt", b"A")})
    assert envelope(answer, 400, "invalid_value")["param"] == "purpose"
    answer = http.get("/files", params={"purpose": purpose or "no"})
    if purpose != "assistants_output":
        assert envelope(answer, 400, "invalid_value")["param"] == "purpose"


def test_purpose_is_required(http):
    error = envelope(http.post("/files", files={"file": ("a.txt", b"A")}), 400, "missing_required_parameter")
    assert error["param"] == "purpose"


def test_unknown_fields_are_ignored(http):
    data = {"purpose": "assistants", "x": "y"}
    assert http.post("/files", data=data, files={"file": ("a.txt", b"A")}).status_code == 200


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"": "1"}, "missing_required_parameter", "expires_after[anchor]"),
        ({"[seconds]": "3600"}, "missing_required_parameter", "expires_after[anchor]"),
        ({"[anchor]": "created_at"}, "missing_required_parameter", "expires_after[seconds]"),
        ({"[anchor]": "last_active_at", "[seconds]": "3600"}, "invalid_value", "expires_after[anchor]"),
        ({"[anchor]": "created_at", "[seconds]": "soon"}, "invalid_value", "expires_after[seconds]"),
        ({"[anchor]": "created_at", "[seconds]": "3599"}, "invalid_value", "expires_after[seconds]"),
        ({"[anchor]": "created_at", "[seconds]": "2592001"}, "invalid_value", "expires_after[seconds]"),
    ],
)
def test_invalid_expiry_is_refused_and_stores_nothing(http, world, fields, code, param):
    data = {"purpose": "assistants", **{f"expires_after{name}": value for name, value in fields.items()}}
    assert (
        envelope(http.post("/files", data=data, files={"file": ("a.txt", b"A")}), 400, code)["param"] == param
    )
    assert not File.objects.filter(tenant=world.tenant).exists()


@pytest.mark.parametrize("field", ["expires_after", "expires_after[seconds]"])
@pytest.mark.parametrize("route", ["/datasets", "/conversations"])
def test_expiry_of_a_dataset_or_conversation_upload_is_refused(http, world, route, field):
    headers = {}
    if route == "/datasets":
        route += f"/{factories.dataset(world.tenant, keys=[world.key.row]).pk}"
    else:
        headers["x-gt-conversation-id"] = http.post(route).json()["id"]
    files = {"file": ("a.txt", b"A")}
    answer = http.post(f"{route}/files", data={field: "3600"}, files=files, headers=headers)
    assert envelope(answer, 400, "invalid_value")["param"] == "expires_after"
    assert not File.objects.filter(tenant=world.tenant).exists()


def test_body_that_is_not_a_form_is_refused(http):
    for kind in ("application/json", "application/x-www-form-urlencoded", "text/plain"):
        envelope(
            http.post("/files", content=b"{}", headers={"content-type": kind}), 415, "unsupported_media_type"
        )
    envelope(
        http.post("/files", content=b"", headers={"content-type": "multipart/form-data"}), 400, "invalid_form"
    )


def test_invalid_list_parameters_are_refused(http):
    for query in (
        {"limit": 0},
        {"limit": 10_001},
        {"limit": "x"},
        {"order": "up"},
        {"after": "file-none"},
        {"after": "\0"},
    ):
        error = envelope(http.get("/files", params=query), 400, "invalid_value")
        assert error["param"] == next(iter(query))


def test_any_unknown_id_is_404(http):
    for name in (
        "file-none",
        "%00",
        "a%00b",
        "%F0%9F%98%80",
        "x" * 5000,
        "..%2F..%2Fetc%2Fpasswd",
        "'%20OR%201=1--",
    ):
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/content")):
            answer = http.request(method, f"/files/{name}{path}")
            assert answer.status_code == 404, name
            assert envelope(answer, 404)["code"] in ("file_not_found", "unknown_url")
