"""The recipe "Add an extractor" of CONTRIBUTING.md, performed on a copy of the code."""

import pytest

from tests.recipes.checkout import add_after, copy_code, run

EXTRACTOR = '''"""INI extractor: a section a section."""

from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

from files.extraction.sections import Section


def sections(path: Path, name: str) -> Iterator[Section]:
    parser = ConfigParser()
    parser.read_string(path.read_text())
    for title in parser.sections():
        yield Section("\\n".join(f"{key}: {value}" for key, value in parser[title].items()), heading=title)
'''
ROW_BEFORE, ROW = '    ".eml": "email",\n', '    ".ini": "ini",\n'
EXTRACT = """
import sys
from pathlib import Path
from django.conf import settings
settings.configure(
    EXTRACTION_SECONDS=30, OCR_SECONDS=0, EXTRACTION_DEADLINE_SECONDS=60.0, EXTRACTION_MEMORY_BYTES=1 << 30,
    EXTRACTION_MAX_CHARACTERS=1000, EXTRACTION_TEMP_DIR=None,
)
from files.extraction import extract
for section in extract(Path(sys.argv[1]), "office.ini", "").sections:
    print(section.heading, section.text, sep="|")
"""


@pytest.fixture(scope="module", autouse=True)
def database() -> None:
    """No database: extraction needs none."""


def test_new_extractor_is_one_file_and_one_row(tmp_path):
    copy_code(tmp_path)
    (tmp_path / "files/extraction/formats/ini.py").write_text(EXTRACTOR)
    add_after(tmp_path / "files/extraction/detection.py", ROW_BEFORE, ROW)
    document = tmp_path / "upload"
    document.write_text("[hours]\nopen = nine\nclose = five\n[address]\nstreet = Harbour Lane\n")
    printed = run(tmp_path, "-c", EXTRACT, str(document))
    assert printed == "hours|open: nine\nclose: five\naddress|street: Harbour Lane\n"
