"""Files as OpenAI's clients send and see them."""

from files.models import File
from tests import factories
from tests.wire import PLAIN, envelope


def test_the_sdk_uploads_a_file_and_finds_it_again(client, world):
    made = client.files.create(file=("notes.txt", b"The office opens at nine."), purpose="assistants")
    assert (made.filename, made.bytes, made.purpose) == ("notes.txt", 25, "assistants")
    assert made.status == "processed"
    assert client.files.retrieve(made.id) == made
    row = File.objects.get(pk=made.id)
    assert (row.tenant_id, row.key_id, row.origin) == (world.tenant.pk, world.key.row.pk, "files")
    assert client.files.wait_for_processing(made.id).status == "processed"


def test_a_file_of_another_key_is_not_there(http, client, world, gateway):
    made = client.files.create(file=("notes.txt", b"The office opens at nine."), purpose="assistants")
    other = factories.key(world.tenant)
    address = f"{gateway.base_url}/files/"
    headers = {"authorization": f"Bearer {other.plain}"}
    answer = envelope(PLAIN.get(address + made.id, headers=headers), 404, "file_not_found")
    missing = envelope(PLAIN.get(address + "file-none", headers=headers), 404, "file_not_found")
    assert answer["message"].replace(made.id, "X") == missing["message"].replace("file-none", "X")
