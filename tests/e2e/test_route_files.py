"""Files are metered like everything else: a record for each request, before its last byte."""

from tests.e2e.routes import NOTES
from tests.wire import RawClient


def test_each_request_about_a_file_is_recorded(studio_http, record):
    made = studio_http.post("/files", data={"purpose": "assistants"}, files={"file": NOTES})
    file_id = made.json()["id"]
    for answer, route, status in (
        (made, "/files", 200),
        (studio_http.get("/files"), "/files", 200),
        (studio_http.get(f"/files/{file_id}"), "/files/{id}", 200),
        (studio_http.get(f"/files/{file_id}/content"), "/files/{id}/content", 200),
        (studio_http.delete(f"/files/{file_id}"), "/files/{id}", 200),
        (studio_http.get(f"/files/{file_id}/content"), "/files/{id}/content", 404),
    ):
        row = record(answer.headers["x-request-id"])
        assert (row.route, row.status) == (route, status)


def test_a_download_that_the_client_leaves_is_recorded_as_that(gateway, studio, studio_http, record):
    large = {"file": ("large.bin", bytes(30 << 20))}
    made = studio_http.post("/files", data={"purpose": "assistants"}, files=large).json()
    client = RawClient(gateway.port, studio.authorization["authorization"])
    head = client.head(0, f"/api/tenant/files/{made['id']}/content").replace(b"POST", b"GET")
    client.socket.sendall(head)
    got = client.read_until(b"\r\n\r\n")
    client.leave("reset")
    request_id = got.partition(b"x-request-id: ")[2].partition(b"\r")[0].decode()
    assert record(request_id).status == 499
    studio_http.delete(f"/files/{made['id']}")
