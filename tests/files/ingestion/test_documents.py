"""Documents become chunks with page and heading."""

from files.models import Chunk
from tests import factories
from tests.files import sample_files
from tests.files.ingestion.helpers import ended


def test_chunks_have_page_and_heading(ingest, world):
    dataset = factories.dataset(world.tenant)
    pdf = sample_files.pdf([["Leave is thirty days."], ["Call before nine when you are sick."]])
    word = sample_files.docx(
        [
            ("Heading1", "Handbook"),
            ("Heading2", "Leave"),
            ("Normal", "Thirty days."),
            ("Heading2", "Sick"),
            ("Normal", "Call."),
        ]
    )
    table = sample_files.xlsx(
        {"Days": [["Name", "Days"], *([f"Person {number}", number] for number in range(400))]}
    )
    dataset_files = ended(
        factories.upload(dataset, pdf, filename="rules.pdf"),
        factories.upload(dataset, word, filename="rules.docx"),
        factories.upload(dataset, table, filename="days.xlsx"),
    )
    assert [dataset_file.state for dataset_file in dataset_files] == ["ready"] * 3
    read = [
        list(Chunk.objects.filter(dataset_file=dataset_file).values_list("page", "heading", "text"))
        for dataset_file in dataset_files
    ]
    assert read[0] == [(1, "", "Leave is thirty days."), (2, "", "Call before nine when you are sick.")]
    assert read[1] == [
        (None, "Handbook > Leave", "# Handbook\n\n## Leave\n\nThirty days."),
        (None, "Handbook > Sick", "## Sick\n\nCall."),
    ]
    assert len(read[2]) > 3
    assert all(heading == "Days" and "| Name | Days |" in text for _, heading, text in read[2])


def test_unreadable_file_fails_with_the_reason(ingest, world):
    dataset = factories.dataset(world.tenant)
    [locked, archive] = ended(
        factories.upload(dataset, sample_files.encrypted_pdf("secret", ["Hidden"]), filename="locked.pdf"),
        factories.upload(dataset, sample_files.zipped({"a.txt": "inside"}), filename="all.zip"),
    )
    assert (locked.state, locked.error_code, locked.attempts) == ("failed", "encrypted_file", 0)
    assert "password" in locked.error_message
    assert (archive.state, archive.error_code) == ("failed", "unsupported_file")
