"""The recipe "Add an extractor" of CONTRIBUTING.md, performed on a copy of the code."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
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
    for name in ("gtapi", "files"):
        shutil.copytree(CHECKOUT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "files/extraction/formats/ini.py").write_text(EXTRACTOR)
    detection = tmp_path / "files/extraction/detection.py"
    code = detection.read_text()
    assert code.count(ROW_BEFORE) == 1
    detection.write_text(code.replace(ROW_BEFORE, ROW_BEFORE + ROW))
    document = tmp_path / "upload"
    document.write_text("[hours]\nopen = nine\nclose = five\n[address]\nstreet = Harbour Lane\n")
    done = subprocess.run(
        [sys.executable, "-c", EXTRACT, str(document)],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "hours|open: nine\nclose: five\naddress|street: Harbour Lane\n"
