"""A dataset upload that is repeated with the same Idempotency-Key."""

from files.models import File
from tests import factories
from tests.wire import envelope


def test_repeated_upload_returns_the_current_state(http, world):
    dataset = factories.dataset(world.tenant, keys=[world.key.row])
    address, headers = f"/datasets/{dataset.pk}/files", {"idempotency-key": factories.unique("once")}
    first, again = (
        http.post(address, files={"file": ("notes.txt", b"Nine.")}, headers=headers) for _ in range(2)
    )
    assert again.status_code == 200, again.text
    assert (again.json()["id"], again.json()["dataset_id"]) == (first.json()["id"], dataset.pk)
    other = http.post(address, files={"file": ("notes.txt", b"Ten.")}, headers=headers)
    envelope(other, 409, "idempotency_conflict")


def test_repeated_upload_attaches_a_detached_file_again(http, world):
    first, second = (factories.dataset(world.tenant, keys=[world.key.row]) for _ in range(2))

    def upload(name: str = "notes.txt"):
        headers = {"idempotency-key": "k1"}
        return http.post(f"/datasets/{first.pk}/files", files={"file": (name, b"Nine.")}, headers=headers)

    file = upload().json()
    factories.dataset_file(second, file=File.objects.get(pk=file["id"]))
    assert http.delete(f"/datasets/{first.pk}/files/{file['id']}").status_code == 200
    envelope(upload("other.txt"), 409, "idempotency_conflict")
    again = upload().json()
    assert (again["id"] != file["id"], again["dataset_id"]) == (True, first.pk)
    assert again["status"] == "uploaded"
    assert upload().json()["id"] == again["id"]
    assert [dataset_file.file_id for dataset_file in first.dataset_files.all()] == [again["id"]]
    assert [dataset_file.file_id for dataset_file in second.dataset_files.all()] == [file["id"]]
