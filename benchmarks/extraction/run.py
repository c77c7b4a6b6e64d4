"""Measure the CPU time of extracting and chunking files, including the start of the child process.

    .venv/bin/python benchmarks/extraction/run.py

prints a table with the medians of `ROUNDS` runs per file.
"""

import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT))

from django.conf import settings  # noqa: E402

settings.configure(
    EXTRACTION_SECONDS=30,
    EXTRACTION_DEADLINE_SECONDS=90.0,
    OCR_SECONDS=120,
    EXTRACTION_MEMORY_BYTES=1536 * 1024 * 1024,
    EXTRACTION_MAX_CHARACTERS=10_000_000,
    EXTRACTION_TEMP_DIR=None,
)

from files.chunking import split  # noqa: E402
from files.extraction import extract  # noqa: E402
from tests.files import sample_files  # noqa: E402

ROUNDS = 9
SENTENCE = "The office opens at nine, and latecomers send a message to their colleagues. "
FILES = {
    "note.txt": ("a line of text", SENTENCE.encode()),
    "handbook.md": (
        "Markdown, 100 sections of 1,000 characters",
        f"## Rule\n\n{SENTENCE * 13}\n\n".encode() * 100,
    ),
    "report.pdf": ("PDF, 100 pages of 40 lines", sample_files.pdf([[SENTENCE] * 40] * 100)),
    "report.docx": ("Word, 1,000 paragraphs", sample_files.docx([("Normal", SENTENCE * 4)] * 1000)),
    "talk.pptx": ("PowerPoint, 50 slides", sample_files.pptx([(SENTENCE, SENTENCE)] * 50)),
    "list.xlsx": (
        "Excel, 5,000 rows",
        sample_files.xlsx({"All": [[at, f"name {at}", "x y z"] for at in range(5000)]}),
    ),
    "page.html": ("HTML, 1,000 paragraphs", b"<p>" + f"{SENTENCE * 4}<p>".encode() * 1000),
    "list.csv": ("CSV, 50,000 rows", b"id,name,note\n" + b"1,a name,some words\n" * 50_000),
}


def processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def main() -> None:
    print("| file | KiB | extraction, CPU ms | chunking, CPU ms | chunks |\n|---|---|---|---|---|")
    split([])
    with tempfile.TemporaryDirectory() as folder:
        for name, (what, data) in FILES.items():
            path = Path(folder) / name
            path.write_bytes(data)
            read, cut = [], []
            for _ in range(ROUNDS):
                before = processor_seconds()
                sections = extract(path, name, "").sections
                between = processor_seconds()
                chunks = split(sections)
                read.append(between - before)
                cut.append(processor_seconds() - between)
            cells = [
                what,
                f"{len(data) / 1024:.0f}",
                *(f"{1000 * statistics.median(m):.0f}" for m in (read, cut)),
            ]
            print(f"| {' | '.join(cells)} | {len(chunks)} |", flush=True)
    print(f"\nPython {sys.version.split()[0]}, {time.strftime('%Y-%m-%d')}, median of {ROUNDS}")


if __name__ == "__main__":
    main()
