"""Detection and extraction of each format."""

import json
import struct
import wave

import pytest

from files.extraction import kind
from tests.files import sample_files
from tests.files.extracting import read, refusal
from tests.recordings import encoded, film

HTML = """<!doctype html><html><head><title>Staff &amp; co</title><meta name="description" content="for machines">
<style>p {color: red}</style></head><body><p>Before any heading.</p><h1>Leave</h1><p>Thirty <b>days</b> at caf\u00e9s.</p>
<script>alert(1)</script><h2>Sick</h2><table><tr><th>Who</th><th>Days</th></tr><tr><td>Ann</td><td>3</td></tr></table>
<p><img alt="a chart" src="data:image/png;base64,AAAA"></p></body></html>"""
MAIL = b"""From: ann@example.com\r\nTo: bob@example.com\r\nSubject: =?utf-8?q?Caf=C3=A9?=\r\nMIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>See you <b>there</b>.\r
--B\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=plan.pdf\r\n\r\n%PDF-1.7\r\n--B--\r\n"""
NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Totals\n", "By month."]},
        {
            "cell_type": "code",
            "metadata": {},
            "outputs": [],
            "execution_count": 1,
            "source": ["print(1 + 1)"],
        },
    ],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 5,
}
TABLE = "| Name | Days |\n| --- | --- |\n| Ann | 30 |"

READ = {
    "a.pdf": (
        sample_files.pdf([["Leave", "Thirty (30) days."], ["Sick?"]]),
        [(1, "", "Leave\nThirty (30) days."), (2, "", "Sick?")],
    ),
    "a.docx": (
        sample_files.docx(
            [
                ("Heading1", "Leave"),
                ("Normal", "Thirty days."),
                ("Heading2", "By person"),
                ("Normal", [["Name", "Days"], ["Ann", "30"]]),
            ]
        ),
        [(None, "Leave", "# Leave\n\nThirty days."), (None, "Leave > By person", f"## By person\n\n{TABLE}")],
    ),
    "a.pptx": (
        sample_files.pptx([("Plan", "First this\nthen that"), ("Costs", "None")]),
        [(1, "Plan", "## Plan\n\nFirst this\n\nthen that"), (2, "Costs", "## Costs\n\nNone")],
    ),
    "a.xlsx": (
        sample_files.xlsx({"Leave": [["Name", "Days"], ["Ann", 30]], "Other": [["x", 1.5]]}),
        [(None, "Leave", f"## Leave\n\n{TABLE}"), (None, "Other", "## Other\n\n| x | 1.5 |\n| --- | --- |")],
    ),
    "a.odt": (
        sample_files.odt([(1, "Leave"), (0, "Thirty days.")]),
        [(None, "Leave", "# Leave\n\nThirty days.")],
    ),
    "a.epub": (
        sample_files.epub([("One", "It began."), ("Two", "It ended.")]),
        [(None, "One", "# One\n\nIt began."), (None, "Two", "# Two\n\nIt ended.")],
    ),
    "a.html": (
        HTML.encode(),
        [
            (None, "Staff & co", "Before any heading."),
            (None, "Leave", "# Leave\n\nThirty days at caf\u00e9s."),
            (None, "Leave > Sick", "## Sick\n\n| Who | Days |\n| --- | --- |\n| Ann | 3 |\n\na chart"),
        ],
    ),
    "a.rtf": (
        rb"{\rtf1\ansi{\fonttbl\f0 Helvetica;}\f0 Thirty days at caf\'e9s.\par}",
        [(None, "", "Thirty days at caf\u00e9s.")],
    ),
    "a.eml": (
        MAIL,
        [
            (
                None,
                "Caf\u00e9",
                "Subject: Caf\u00e9\nFrom: ann@example.com\nTo: bob@example.com\nAttachments: plan.pdf\n\nSee you there.",
            )
        ],
    ),
    "a.ipynb": (
        json.dumps(NOTEBOOK).encode(),
        [(None, "Totals", "# Totals\n\nBy month.\n\n```\nprint(1 + 1)\n```")],
    ),
    "a.rst": (b"Leave\n=====\n\nThirty days.\n", [(None, "Leave", "# Leave\n\nThirty days.")]),
    "a.md": (
        b"Intro\n# Leave\nThirty days.\n```sh\n# no heading\n```\n## Sick\nCall.\n# Pay\nMonthly.\n",
        [
            (None, "", "Intro"),
            (None, "Leave", "# Leave\nThirty days.\n```sh\n# no heading\n```"),
            (None, "Leave > Sick", "## Sick\nCall."),
            (None, "Pay", "# Pay\nMonthly."),
        ],
    ),
    "a.txt": (b"Thirty days.\r\nAs said.\r\n", [(None, "", "Thirty days.\nAs said.")]),
    "a.py": (b"def days():\n    return 30\n", [(None, "", "def days():\n    return 30")]),
    "a.csv": (b'Name,Days\n"Ann",30\n', [(None, "", TABLE)]),
    "a.tsv": (b"Name\tDays\nAnn\t30\n", [(None, "", TABLE)]),
    "a.json": (
        b'{"staff": [{"name": "Ann", "days": 30, "tags": []}]}',
        [(None, "", "staff[0].name: Ann\nstaff[0].days: 30\nstaff[0].tags: []")],
    ),
    "a.jsonl": (b'{"name": "Ann"}\n{"name": "Bob"}\n', [(None, "", "name: Ann\nname: Bob")]),
}


@pytest.mark.parametrize("name", READ)
def test_text_pages_and_headings_of_each_format(tmp_path, name):
    content, expected = READ[name]
    assert read(tmp_path, name, content) == expected


@pytest.mark.parametrize("name", ["a.pdf", "a.docx", "a.html", "a.rtf"])
def test_content_decides_over_name_and_declared_type(tmp_path, name):
    content, expected = READ[name]
    assert read(tmp_path, "wrong.json", content, "text/csv") == expected


def test_text_that_mentions_a_signature_is_text(tmp_path):
    said = b"A PDF begins with %PDF-1.7, a page with <html>, an archive with PK\x03\x04."
    assert read(tmp_path, "a.txt", said) == [(None, "", said.decode().replace("\x03\x04", ""))]
    junk = b"#!/junk\n" + READ["a.pdf"][0]
    assert read(tmp_path, "a.pdf", junk) == READ["a.pdf"][1]


def test_declared_type_decides_last(tmp_path):
    assert read(tmp_path, "upload", b"Name,Days\nAnn,30\n", "text/csv; charset=utf-8") == [(None, "", TABLE)]
    assert read(tmp_path, "upload", b"Name,Days\nAnn,30\n") == [(None, "", "Name,Days\nAnn,30")]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Caf\u00e9 na\u00efve \u4e2d\u6587", "utf-8-sig"),
        ("Caf\u00e9 na\u00efve \u4e2d\u6587", "utf-16"),
        ("Ten words that are written without any mark", "utf-16-le"),
        ("Caf\u00e9 \U0001f600", "utf-32"),
        ("Caf\u00e9 d\u00e9j\u00e0 vu", "cp1252"),
        ("\u201cSmart quotes\u201d \u2013 \u20ac5, na\u00efve M\u00fcller", "cp1252"),
        (
            "Dnes ve\u010der p\u016fjdeme do kina, \u0159ekl t\u00e1ta. P\u0159\u00edli\u0161 \u017elu\u0165ou\u010dk\u00fd k\u016f\u0148.",
            "cp1250",
        ),
        (
            "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u042d\u0442\u043e \u043e\u0431\u044b\u0447\u043d\u044b\u0439 \u0440\u0443\u0441\u0441\u043a\u0438\u0439 \u0442\u0435\u043a\u0441\u0442.",
            "cp1251",
        ),
        ("\u3053\u308c\u306f\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8\u3067\u3059\u3002", "shift_jis"),
    ],
)
def test_text_encodings_are_detected(tmp_path, text, encoding):
    assert read(tmp_path, "a.txt", text.encode(encoding)) == [(None, "", text)]


def test_html_is_read_in_its_declared_encoding(tmp_path):
    page = '<html><head><meta charset="iso-8859-2"></head><body><p>\u017dlu\u0165ou\u010dk\u00fd k\u016f\u0148</p></body></html>'
    assert read(tmp_path, "a.html", page.encode("iso-8859-2")) == [
        (None, "", "\u017dlu\u0165ou\u010dk\u00fd k\u016f\u0148")
    ]


@pytest.mark.parametrize(
    "page", ["<div>" * 500 + "{}", "<p>" * 500 + "{}", "<table><tr><td>" * 90 + "{}", "<b><i>" * 500 + "{}"]
)
def test_deeply_nested_html_is_read(tmp_path, page):
    [(_, _, text)] = read(tmp_path, "a.html", page.format("deep down").encode())
    assert "deep down" in text


def test_unclosed_tags_end_at_the_next_tag(tmp_path):
    page = "<h1>Leave<p>One.<p>Two, if a < b.<ul><li>first<li>second</ul><pre>if a &lt; b:\n    stop</pre>"
    [(_, heading, text)] = read(tmp_path, "a.html", page.encode())
    assert heading == "Leave"
    assert text == "# Leave\n\nOne.\n\nTwo, if a < b.\n\n- first\n- second\n\n```\nif a < b:\n    stop\n```"


def test_characters_that_cannot_be_stored_are_removed(tmp_path):
    [(_, _, text)] = read(tmp_path, "a.txt", b"be\0fore \xed\xa0\x80after\x07" + b" and more of it" * 20)
    assert text.startswith("before after and")
    [(_, _, text)] = read(tmp_path, "a.json", rb'{"a": "x\u0000y\ud800z"}')
    assert text == "a: xyz"


def test_text_truncated_within_a_character_is_still_utf8(tmp_path):
    [(_, _, text)] = read(tmp_path, "a.txt", ("\u4e2d\u6587" * 50).encode()[:-1])
    assert text == "\u4e2d\u6587" * 49 + "\u4e2d\ufffd"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("song.wav", None),
        ("song.mp3", b"ID3\x04\0\0" + b"\0" * 100),
        ("song.mp3", b"\xff\xfb\x90\x64" + b"\0" * 400),
        ("song.ogg", b"OggS\0\x02" + b"\0" * 22 + b"\x01\x13OpusHead"),
        ("song.flac", b"fLaC\0\0\0\x22" + b"\0" * 40),
        ("song.m4a", b"\0\0\0\x20ftypM4A \0\0\0\0"),
        ("song.webm", b"\x1a\x45\xdf\xa3\x42\x82\x84webm\x86\x86A_OPUS"),
    ],
)
def test_audio_is_detected_by_content(tmp_path, name, content):
    file = tmp_path / "upload"
    if content is None:
        with wave.open(str(file), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(8000)
            sound.writeframes(b"\0\0" * 8000)
    else:
        file.write_bytes(content)
    assert kind(file, "upload.bin", "application/octet-stream") == "audio"
    assert kind(file, name, "") == "audio"


@pytest.mark.parametrize("container", ["adts", "mp4", "ismv", "mov", "ipod", "3gp"])
def test_encoded_recordings_are_audio(tmp_path, container):
    file = tmp_path / "upload"
    file.write_bytes(encoded(container, "aac", 0.2))
    assert kind(file, "upload", "application/octet-stream") == "audio"


def test_recording_of_one_frame_is_audio(tmp_path):
    whole = encoded("adts", "aac", 0.2)
    file = tmp_path / "upload"
    file.write_bytes(whole[: (whole[3] & 3) << 11 | whole[4] << 3 | whole[5] >> 5])
    assert kind(file, "upload", "application/octet-stream") == "audio"


@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_video_is_not_supported(tmp_path, container):
    error = refusal(tmp_path, "a.mp4", film(container), "application/octet-stream")
    assert (error.code, error.message) == (
        "unsupported_file",
        "Videos are not supported. Upload the audio track.",
    )


def box(name, content=b"", length=None):
    return struct.pack(">I", 8 + len(content) if length is None else length) + name + content


@pytest.mark.parametrize(
    "lie",
    [
        box(b"moov", length=4),
        box(b"moov", length=1) + struct.pack(">Q", 3),
        box(b"free", length=1) + struct.pack(">Q", 2**64 - 1),
        box(b"free", length=1) + struct.pack(">Q", 2**63 - 17),
        box(b"moov", length=0xFFFFFFFF) + box(b"trak", length=0xFFFFFFF0),
        box(b"moov", box(b"trak", box(b"mdia", box(b"hdlr")))),
        box(b"free") * 100_000 + box(b"moov"),
        b"moo",
    ],
    ids=range(8),
)
def test_mp4_with_false_lengths_is_not_supported(tmp_path, lie):
    assert refusal(tmp_path, "a.mp4", box(b"ftyp", b"isom\0\0\0\0") + lie).code == "unsupported_file"


@pytest.mark.parametrize(
    ("name", "content", "code", "words"),
    [
        ("a.txt", b"", "empty_file", "empty"),
        ("a.txt", b" \n\n ", "no_text", "No text"),
        ("a.exe", b"MZ\x90\0" + b"\0" * 60, "unsupported_file", "programs"),
        ("a.tar.gz", b"\x1f\x8b\x08\0" + b"\0" * 60, "unsupported_file", "Archives"),
        ("a.zip", sample_files.zipped({"a.txt": "inside"}), "unsupported_file", "Archives"),
        ("a.mp4", b"\0\0\0\x20ftypisom\0\0\0\0", "unsupported_file", "audio track"),
        ("a.webm", b"\x1a\x45\xdf\xa3\x42\x82\x84webm\x86\x86V_VP9", "unsupported_file", "audio track"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "unsupported_file", "DOCX"),
        ("a.bin", bytes(range(256)) * 10, "unsupported_file", "file type"),
        ("a.json", b'{"a": ', "broken_file", "JSON"),
        ("a.pdf", sample_files.pdf([[""]]), "no_text", "No text"),
    ],
)
def test_unreadable_file_has_a_code_and_a_message(tmp_path, name, content, code, words):
    error = refusal(tmp_path, name, content)
    assert error.code == code
    assert words in error.message
    assert str(tmp_path) not in error.message


def test_pdf_with_an_owner_password_is_read_and_with_a_user_password_is_not(tmp_path):
    assert (
        refusal(tmp_path, "a.pdf", sample_files.encrypted_pdf("secret", ["Hidden"])).code == "encrypted_file"
    )
    assert read(tmp_path, "a.pdf", sample_files.encrypted_pdf("", ["Shown"])) == [(1, "", "Shown")]
