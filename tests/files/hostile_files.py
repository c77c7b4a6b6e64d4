"""Forty-two malicious or damaged files.

``FILES`` says of each what may become of it, ``text`` or the code of a refusal, and how it is made; ``make`` makes
one. ``QUICK`` are those that cost little, and stand for the others in the suite. All are small enough for anybody to
send.
"""

import io
import random
import struct
import zipfile
import zlib

from tests.files import sample_files
from tests.files.sample_files import DRAWING, WORD, XML

MIB = 1024 * 1024
TEXT = "text"
#: The address that hostile documents ask for; a test that listens there replaces it.
ADDRESS = "http://127.0.0.1:9/fetched"
#: What a file may name that no reader of it should ever see.
SECRET = "file:///etc/passwd"

LAUGHS = (
    '<!DOCTYPE lolz [<!ENTITY lol "lol">'
    + "".join(f'<!ENTITY lol{at} "{f"&lol{at - 1 if at > 1 else str()};" * 10}">' for at in range(1, 10))
    + "]>"
)


def _word(text, before=""):
    body = f"<w:body><w:p><w:r><w:t>Quarterly report {text}</w:t></w:r></w:p></w:body>"
    return sample_files.docx_of(f'{XML}{before}<w:document xmlns:w="{WORD}">{body}</w:document>')


def _doctype(address):
    return f'<!DOCTYPE x [<!ENTITY theirs SYSTEM "{address}">]>'


def _bomb(size):
    """A Word document of which one member unpacks to ``size`` bytes."""
    return sample_files.docx_of(f'<w:document xmlns:w="{WORD}"/>', **{"word/media/a.xml": b"A" * size})


def _lying_bomb():
    """A Word document whose text says that it unpacks to 100 bytes, and unpacks to 80 MiB."""
    text = f'{XML}<w:document xmlns:w="{WORD}"><w:body><w:p><w:r><w:t>'.encode() + b"A" * (80 * MIB)
    data = bytearray(sample_files.docx_of(text.decode()))
    size = struct.pack("<I", len(text))
    at = data.find(size)
    while at >= 0:
        data[at : at + 4] = struct.pack("<I", 100)
        at = data.find(size, at)
    return bytes(data)


def _nested(depth):
    inner = b"0" * MIB
    for at in range(depth):
        inner = sample_files.zipped({f"{at}-{copy}.zip": inner for copy in range(4)})
    return inner


def _encrypted_office():
    """The beginning of what Office makes of an encrypted document."""
    names = b"".join(
        name.encode("utf-16-le").ljust(128, b"\0") for name in ("Root Entry", "EncryptedPackage")
    )
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".ljust(512, b"\0") + names.ljust(4096, b"\0")


def _locked_zip():
    data = bytearray(sample_files.docx([("Normal", "Locked away")]))
    for mark, dataset_file in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + dataset_file] |= 1
            at = data.find(mark, at + 1)
    return bytes(data)


def _pdf_stream(content, entries=""):
    return f"<< /Length {len(content)} {entries} >>\nstream\n".encode() + content + b"\nendstream"


def _pdf_page(content, resources="", extra=(), entries=""):
    page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << {resources} >> >>"
    tree = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page.encode()]
    return sample_files.pdf_of([*tree, _pdf_stream(content, entries), *extra])


def _packed(content):
    """Packed so that it can be repeated: the whole of it does not have to be packed, which takes time."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush(zlib.Z_FULL_FLUSH)


def _pdf_bomb():
    """A page whose instructions unpack to 1 GiB, packed twice."""
    once = b"\x78\xda" + _packed(b" " * MIB) * 1024 + b"\x03\0"
    return _pdf_page(zlib.compress(once, 9), entries="/Filter [/FlateDecode /FlateDecode]")


def _pdf_tree_loop():
    return sample_files.pdf_of(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Pages /Parent 2 0 R /Kids [2 0 R 3 0 R] /Count 1 >>",
        ]
    )


def _pdf_form_loop():
    """A picture that draws itself."""
    form = "/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /F 5 0 R >> >>"
    return _pdf_page(b"/F Do", "/XObject << /F 5 0 R >>", [_pdf_stream(b"/F Do /F Do /F Do", form)])


def _pdf_earlier_loop():
    """A file whose cross-reference table points to itself as the previous one."""
    data = sample_files.pdf([["Round and round"]])
    offset = int(data.rpartition(b"startxref\n")[2].split()[0])
    return data.replace(b"/Root 1 0 R", f"/Root 1 0 R /Prev {offset}".encode())


def _pdf_picture():
    """A picture of 65,000 by 65,000 points, in a few bytes."""
    entries = "/Type /XObject /Subtype /Image /Width 65000 /Height 65000 /ColorSpace /DeviceRGB /BitsPerComponent 16"
    picture = _pdf_stream(zlib.compress(b"\0" * MIB), f"{entries} /Filter /FlateDecode")
    return _pdf_page(b"612 0 0 792 0 0 cm /P Do", "/XObject << /P 5 0 R >>", [picture])


def _png(width, height):
    return _png_of(width, height, 2, zlib.compress(b"\0" * 1000))


def blank_png(side):
    """A black square that is all there, a byte a point."""
    packer = zlib.compressobj(1)
    rows = [packer.compress(bytes(side + 1)) for _ in range(side)]
    return _png_of(side, side, 0, b"".join(rows) + packer.flush())


def _png_of(width, height, colours, data):
    def block(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + block(b"IHDR", head) + block(b"IDAT", data) + block(b"IEND", b"")


def _dense_page():
    """A page full of random letters, which takes longer to recognise than any text."""
    letters = random.Random(1)
    return ["".join(letters.choices("abcdefghij klmnop", k=70)) for _ in range(45)]


def _endless_scan():
    """A scan in 400 KiB with more pages than the time limit allows."""
    pages = range(1, 601)
    return sample_files.pdf(
        [[] for _ in pages], scans=dict.fromkeys(pages, sample_files.image(_dense_page(), "JPEG"))
    )


def _polyglot():
    """A PDF that is a zip archive, too."""
    archive = sample_files.zipped({"payload.exe": b"MZ" + b"\0" * 100})
    return sample_files.pdf([["Two things at once"]]) + archive


def _mail_in_mail(depth):
    heads = [f'Content-Type: multipart/mixed; boundary="b{at}"\r\n\r\n--b{at}\r\n' for at in range(depth)]
    return ("From: a@example.com\r\nSubject: Nested\r\n" + "".join(heads)).encode()


def _sparse_sheet():
    cells = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>'
    return sample_files.xlsx_of({"Far": f"<sheetData>{cells}</sheetData>"})


def _same_slide(times):
    """A presentation that shows one slide over and over."""
    source = zipfile.ZipFile(io.BytesIO(sample_files.pptx([("Again", "and again")])))
    members = {name: source.read(name) for name in source.namelist()}
    part = members["ppt/presentation.xml"].decode()
    entry = '<p:sldId id="256" r:id="rId1"/>'
    members["ppt/presentation.xml"] = part.replace(entry, entry * times)
    return sample_files.zipped(members)


def _slipping():
    return sample_files.docx_of(
        f'<w:document xmlns:w="{WORD}"><w:body><w:p><w:r><w:t>Harmless</w:t></w:r></w:p></w:body></w:document>',
        **{"../../../../../../../../tmp/gtapi-slipped": "out", "/tmp/gtapi-slipped": "out"},
    )


def _fetching_html():
    tags = "".join(
        f'<{tag} src="{ADDRESS}" href="{ADDRESS}" data="{ADDRESS}"></{tag}>'
        for tag in ("script", "img", "iframe")
    )
    return f'<html><head><link rel="stylesheet" href="{ADDRESS}"></head><body>{tags}<p>Read me</p></body></html>'.encode()


def _deep_word(depth):
    return sample_files.docx_of(f'<w:document xmlns:w="{WORD}"><w:body>' + "<w:tbl><w:tr><w:tc>" * depth)


def _deep_slide(depth):
    spaces = f'xmlns:a="{DRAWING}"'
    source = zipfile.ZipFile(io.BytesIO(sample_files.pptx([("Deep", "deeper")])))
    members = {name: source.read(name) for name in source.namelist()}
    slide = members["ppt/slides/slide1.xml"].decode()
    members["ppt/slides/slide1.xml"] = slide.replace(
        "</p:spTree>", f"<p:grpSp {spaces}>" * depth + "</p:spTree>"
    )
    return sample_files.zipped(members)


REFUSED = {"broken_file", "no_text", "file_too_complex"}
ANY = REFUSED | {TEXT}
#: Where the reading process may run out of its stack, which ends it; it is then tried again before the file fails.
CRASH = ANY | {"extraction_failed"}

#: name: (what may become of it, how it is made)
FILES = {
    "empty.txt": ({"empty_file"}, lambda: b""),
    "blank.txt": ({"no_text"}, lambda: b" \n\t\r\n" * (MIB // 4)),
    "bomb.docx": ({"file_too_complex"}, lambda: _bomb(160 * MIB)),
    "lying-bomb.docx": (REFUSED, _lying_bomb),
    "nested-bomb.docx": ({"unsupported_file"}, lambda: _nested(4)),
    "billion-laughs.docx": (ANY, lambda: _word("&lol9;", LAUGHS)),
    "billion-laughs.html": (ANY, f"{LAUGHS}<html><body><p>Ha &lol9;</p></body></html>".encode),
    "reads-passwd.docx": (ANY, lambda: _word("&theirs;", _doctype(SECRET))),
    "fetches.docx": (ANY, lambda: _word("&theirs;", _doctype(ADDRESS))),
    "fetches.html": ({TEXT}, _fetching_html),
    "slips-out.docx": ({TEXT}, _slipping),
    "deep.docx": (CRASH, lambda: _deep_word(200_000)),
    "deep.pptx": (CRASH, lambda: _deep_slide(200_000)),
    "same-slide.pptx": (ANY, lambda: _same_slide(20_000)),
    "sparse.xlsx": (ANY, _sparse_sheet),
    "page-tree-loop.pdf": (ANY, _pdf_tree_loop),
    "draws-itself.pdf": (ANY, _pdf_form_loop),
    "earlier-loop.pdf": (ANY, _pdf_earlier_loop),
    "bomb.pdf": (ANY, _pdf_bomb),
    "deep.pdf": (CRASH, lambda: _pdf_page(b"BT " + b"[" * 1_000_000 + b" ET")),
    "vast-picture.pdf": (ANY, _pdf_picture),
    "encrypted.pdf": ({"encrypted_file"}, lambda: sample_files.encrypted_pdf("secret", ["Locked away"])),
    "encrypted.docx": ({"encrypted_file"}, _encrypted_office),
    "locked-members.docx": ({"encrypted_file"}, _locked_zip),
    "truncated.pdf": (ANY, lambda: sample_files.pdf([["Cut off"] * 50] * 50)[:9000]),
    "truncated.docx": ({"broken_file"}, lambda: sample_files.docx([("Normal", "Cut off")])[:-200]),
    "vast.png": (REFUSED | {"unsupported_file"}, lambda: _png(60_000, 60_000)),
    "same-picture.tif": ({TEXT, "unsupported_file"}, lambda: sample_files.fax([("Again and again", 9_000)])),
    "endless-scan.pdf": ({TEXT, "file_too_complex", "no_text"}, _endless_scan),
    "deep.json": ({"file_too_complex", "broken_file"}, lambda: b"[" * 2_000_000),
    "deep.html": ({TEXT}, lambda: b"<html><body>" + b"<div><b>" * 200_000 + b"deep down"),
    "open-tags.html": ({TEXT}, lambda: b"<html>" + b"<meta " * 500_000 + b"<head" * 500_000),
    "one-line.txt": ({TEXT}, lambda: b"x" * 9_900_000),
    "emoji.txt": ({TEXT}, lambda: "\U0001f600".encode() * 1_000_000),
    "wide.csv": ({TEXT}, lambda: b",".join(b"%d" % at for at in range(400_000))),
    "open-quote.csv": ({TEXT}, lambda: b'name,note\nAnn,"' + b"never closed, " * 400_000),
    "headings.md": (ANY, lambda: b"# a\nb\n" * 500_000),
    "groups.rtf": (CRASH, lambda: b"{\\rtf1 " + b"{" * 2_000_000),
    "mail-in-mail.eml": (CRASH, lambda: _mail_in_mail(20_000)),
    "program.pdf": ({"unsupported_file"}, lambda: b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 400),
    "polyglot.pdf": ({TEXT}, _polyglot),
    "nul.txt": ({TEXT}, lambda: b"before\0after \xed\xa0\x80 \xef\xbf\xbf end" + b" words" * 100),
}

SLOW = {
    "draws-itself.pdf",
    "bomb.pdf",
    "lying-bomb.docx",
    "one-line.txt",
    "wide.csv",
    "headings.md",
    "open-quote.csv",
    "endless-scan.pdf",
}
QUICK = [name for name in FILES if name not in SLOW]


def make(name):
    return FILES[name][1]()


def outcomes(name):
    return FILES[name][0]
