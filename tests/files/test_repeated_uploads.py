"""An upload into a dataset that is sent again with its Idempotency-Key."""

from tests import factories
from tests.wire import envelope


def test_it_gets_the_state_of_the_file_that_is_there(http, world):
    dataset = factories.dataset(world.tenant, keys=[world.key.row])
    address, headers = f"/datasets/{dataset.pk}/files", {"idempotency-key": factories.unique("once")}
    first, again = (
        http.post(address, files={"file": ("notes.txt", b"Nine.")}, headers=headers) for _ in range(2)
    )
    assert again.status_code == 200, again.text
    assert (again.json()["id"], again.json()["dataset_id"]) == (first.json()["id"], dataset.pk)
    other = http.post(address, files={"file": ("notes.txt", b"Ten.")}, headers=headers)
    envelope(other, 409, "idempotency_conflict")
