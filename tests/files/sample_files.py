"""Minimal documents of every supported format, built from plain bytes with the given content."""

import hashlib
import io
import struct
import zipfile
import zlib
from xml.sax.saxutils import escape

from PIL import Image, ImageDraw, ImageFont

OFFICE = "http://schemas.openxmlformats.org"
RELATIONS = f"{OFFICE}/package/2006/relationships"
LINKS = f"{OFFICE}/officeDocument/2006/relationships"
WORD = f"{OFFICE}/wordprocessingml/2006/main"
SHEET = f"{OFFICE}/spreadsheetml/2006/main"
SLIDE = f"{OFFICE}/presentationml/2006/main"
DRAWING = f"{OFFICE}/drawingml/2006/main"
XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'


def zipped(members, method=zipfile.ZIP_DEFLATED):
    """A zip archive of ``{name: text or bytes}``."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def pdf(pages, *, trailer="", scans=None, sealed=lambda number, content: content):
    """A PDF of one list of lines a page, with the JPEG of ``scans`` that has its number behind them.

    The same JPEG on many pages is in the file once. ``sealed`` makes of an object's content what stands in the file.
    """
    scans = scans or {}
    numbers = [4 + 2 * at for at in range(len(pages))]
    pictures = list(dict.fromkeys(scans.values()))
    dataset_files = {picture: 4 + 2 * len(pages) + at for at, picture in enumerate(pictures)}
    kids = " ".join(f"{number} 0 R" for number in numbers)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for at, (number, lines) in enumerate(zip(numbers, pages, strict=True), 1):
        shown = "".join(f"({_pdf_text(line)}) Tj 0 -16 Td\n" for line in lines)
        drawn = f"BT /F1 12 Tf 72 720 Td\n{shown}ET".encode("latin-1")
        resources = "/Font << /F1 3 0 R >>"
        if at in scans:
            drawn = b"q 612 0 0 792 0 0 cm /S Do Q\n" + drawn
            resources += f" /XObject << /S {dataset_files[scans[at]]} 0 R >>"
        stream = sealed(number + 1, zlib.compress(drawn))
        page = f"/Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {number + 1} 0 R"
        objects.append(f"<< {page} /Resources << {resources} >> >>".encode())
        head = f"<< /Length {len(stream)} /Filter /FlateDecode >>\nstream\n".encode()
        objects.append(head + stream + b"\nendstream")
    objects.extend(map(_scan, pictures))
    return pdf_of(objects, trailer=trailer)


def _scan(jpeg):
    width, height = Image.open(io.BytesIO(jpeg)).size
    entries = f"/Type /XObject /Subtype /Image /Width {width} /Height {height} /ColorSpace /DeviceGray"
    head = f"<< {entries} /BitsPerComponent 8 /Filter /DCTDecode /Length {len(jpeg)} >>\nstream\n".encode()
    return head + jpeg + b"\nendstream"


def image(lines, form="PNG", size=(850, 1100), **options):
    """A page with these lines in print, as a scanner would give it; of a list of pages a TIFF holds all."""
    pages = lines if lines and isinstance(lines[0], list) else [lines]
    drawn = [_printed(page, size) for page in pages]
    out = io.BytesIO()
    more = {"save_all": True, "append_images": drawn[1:]} if len(drawn) > 1 else {}
    drawn[0].save(out, form, **more, **options)
    return out.getvalue()


def fax(shown, order="<", size=(720, 260)):
    """A TIFF that shows each line on so many pages, of which all have one and the same picture."""
    out = bytearray({"<": b"II*\0", ">": b"MM\0*"}[order])
    after = len(out)  # where it stands in the file which page is next
    out += bytes(4)
    for line, times in shown:
        strip = len(out)
        out += _printed([line], size).tobytes()
        for _ in range(times):
            out[after : after + 4] = struct.pack(f"{order}I", len(out))
            width, height = size
            # Width, height, bits a point, no packing, 0 is black, and where all of it is.
            numbers = {
                256: width,
                257: height,
                258: 8,
                259: 1,
                262: 1,
                273: strip,
                278: height,
                279: width * height,
            }
            entries = [struct.pack(f"{order}HHII", tag, 4, 1, number) for tag, number in numbers.items()]
            out += struct.pack(f"{order}H", len(entries)) + b"".join(entries)
            after = len(out)
            out += bytes(4)
    return bytes(out)


def _printed(lines, size):
    page = Image.new("L", size, 255)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(28)
    for at, line in enumerate(lines):
        pen.text((80, 90 + 56 * at), line, font=font, fill=0)
    return page


def pdf_of(objects, *, trailer=""):
    """A PDF of these objects, numbered from 1, of which the first is its catalog."""
    out = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    dataset_files = []
    for number, content in enumerate(objects, 1):
        dataset_files.append(len(out))
        out += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(f"{dataset_file:010} 00000 n \n".encode() for dataset_file in dataset_files)
    out += (
        f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF\n".encode()
    )
    return bytes(out)


def encrypted_pdf(password, lines):
    """A PDF of one page that this password opens, in revision 2 of the standard's cipher; an empty one is not asked for."""
    padding = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")
    user, owner = ((word.encode() + padding)[:32] for word in (password, "owner"))
    kept = _rc4(hashlib.md5(owner).digest()[:5], user)
    key = hashlib.md5(user + kept + struct.pack("<i", -4) + b"id").digest()[:5]
    entries = f"/Filter /Standard /V 1 /R 2 /P -4 /O <{kept.hex()}> /U <{_rc4(key, padding).hex()}>"
    trailer = f"/Encrypt << {entries} >> /ID [(id) (id)]"

    def sealed(number, content):
        return _rc4(hashlib.md5(key + struct.pack("<I", number)[:3] + b"\0\0").digest()[:10], content)

    return pdf([lines], trailer=trailer, sealed=sealed)


def _rc4(key, data):
    box = list(range(256))
    j = 0
    for i in range(256):
        j = (j + box[i] + key[i % len(key)]) % 256
        box[i], box[j] = box[j], box[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + box[i]) % 256
        box[i], box[j] = box[j], box[i]
        out.append(byte ^ box[(box[i] + box[j]) % 256])
    return bytes(out)


def _pdf_text(line):
    return line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def docx(paragraphs):
    """A Word document of ``(style, text)``: ``Heading1``, ``Normal``, …; a list of rows instead of a text is a table."""
    body = "".join(
        _table(text) if isinstance(text, list) else _paragraph(style, text) for style, text in paragraphs
    )
    return docx_of(f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>')


def docx_of(document, **members):
    """A Word document with this XML as its text."""
    return zipped(
        {
            "[Content_Types].xml": _types(
                {
                    "/word/document.xml": "wordprocessingml.document.main",
                    "/word/styles.xml": "wordprocessingml.styles",
                }
            ),
            "_rels/.rels": _relations({"rId1": ("officeDocument", "word/document.xml")}),
            "word/_rels/document.xml.rels": _relations({"rId1": ("styles", "styles.xml")}),
            "word/styles.xml": _styles(),
            "word/document.xml": document if document.startswith("<?xml") else XML + document,
            **members,
        }
    )


def _styles():
    named = "".join(
        f'<w:style w:type="paragraph" w:styleId="Heading{level}"><w:name w:val="heading {level}"/>'
        f'<w:pPr><w:outlineLvl w:val="{level - 1}"/></w:pPr></w:style>'
        for level in (1, 2, 3)
    )
    return f'{XML}<w:styles xmlns:w="{WORD}">{named}</w:styles>'


def _paragraph(style, text):
    return f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr><w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'


def _table(rows):
    cells = ["".join(f"<w:tc>{_paragraph('Normal', cell)}</w:tc>" for cell in row) for row in rows]
    return "<w:tbl>" + "".join(f"<w:tr>{row}</w:tr>" for row in cells) + "</w:tbl>"


def pptx(slides):
    """A presentation of ``(title, text)``."""
    names = [f"slides/slide{number}.xml" for number in range(1, len(slides) + 1)]
    listed = "".join(f'<p:sldId id="{255 + at}" r:id="rId{at}"/>' for at in range(1, len(slides) + 1))
    spaces = f'xmlns:p="{SLIDE}" xmlns:a="{DRAWING}" xmlns:r="{LINKS}"'
    parts = {
        f"ppt/{name}": f"{XML}<p:sld {spaces}><p:cSld><p:spTree>{_shape('title', title)}{_shape('body', text)}"
        "</p:spTree></p:cSld></p:sld>"
        for name, (title, text) in zip(names, slides, strict=True)
    }
    types = {f"/{name}": "presentationml.slide" for name in parts}
    return zipped(
        {
            "[Content_Types].xml": _types(
                {"/ppt/presentation.xml": "presentationml.presentation.main", **types}
            ),
            "_rels/.rels": _relations({"rId1": ("officeDocument", "ppt/presentation.xml")}),
            "ppt/_rels/presentation.xml.rels": _relations(
                {f"rId{at}": ("slide", name) for at, name in enumerate(names, 1)}
            ),
            "ppt/presentation.xml": f"{XML}<p:presentation {spaces}><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>",
            **parts,
        }
    )


def _shape(kind, text):
    lines = "".join(f"<a:p><a:r><a:t>{escape(line)}</a:t></a:r></a:p>" for line in text.splitlines())
    return (
        f'<p:sp><p:nvSpPr><p:cNvPr id="2" name="{kind}"/><p:cNvSpPr/><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr>'
        f"<p:spPr/><p:txBody><a:bodyPr/>{lines}</p:txBody></p:sp>"
    )


def xlsx(sheets):
    """A workbook of ``{name: rows}``; a cell is a number or a text."""
    data = {name: "".join(map(_row, range(1, len(rows) + 1), rows)) for name, rows in sheets.items()}
    return xlsx_of({name: f"<sheetData>{rows}</sheetData>" for name, rows in data.items()})


def xlsx_of(sheets):
    """A workbook whose sheets hold this XML."""
    numbered = dict(enumerate(sheets.items(), 1))
    listed = "".join(
        f'<sheet name="{name}" sheetId="{at}" r:id="rId{at}"/>' for at, (name, _) in numbered.items()
    )
    parts = {f"xl/worksheets/sheet{at}.xml": content for at, (_, content) in numbered.items()}
    types = {f"/{name}": "spreadsheetml.worksheet" for name in parts}
    return zipped(
        {
            "[Content_Types].xml": _types({"/xl/workbook.xml": "spreadsheetml.sheet.main", **types}),
            "_rels/.rels": _relations({"rId1": ("officeDocument", "xl/workbook.xml")}),
            "xl/_rels/workbook.xml.rels": _relations(
                {f"rId{at}": ("worksheet", f"worksheets/sheet{at}.xml") for at in numbered}
            ),
            "xl/workbook.xml": f'{XML}<workbook xmlns="{SHEET}" xmlns:r="{LINKS}"><sheets>{listed}</sheets></workbook>',
            **{
                name: f'{XML}<worksheet xmlns="{SHEET}">{content}</worksheet>'
                for name, content in parts.items()
            },
        }
    )


def _row(number, cells):
    return (
        f'<row r="{number}">' + "".join(_cell(number, at, cell) for at, cell in enumerate(cells)) + "</row>"
    )


def _cell(row, column, value):
    dataset_file = f"{chr(ord('A') + column)}{row}"
    if isinstance(value, int | float):
        return f'<c r="{dataset_file}"><v>{value}</v></c>'
    return f'<c r="{dataset_file}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'


def _types(parts):
    listed = "".join(
        f'<Override PartName="{name}" ContentType="application/vnd.openxmlformats-officedocument.{kind}+xml"/>'
        for name, kind in parts.items()
    )
    defaults = (
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
    )
    return f'{XML}<Types xmlns="{OFFICE}/package/2006/content-types">{defaults}{listed}</Types>'


def _relations(parts):
    listed = "".join(
        f'<Relationship Id="{name}" Type="{LINKS}/{kind}" Target="{target}"/>'
        for name, (kind, target) in parts.items()
    )
    return f'{XML}<Relationships xmlns="{RELATIONS}">{listed}</Relationships>'


def odt(paragraphs):
    """An OpenDocument text of ``(level, text)``, level 0 for a paragraph."""
    spaces = 'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
    body = "".join(
        f'<text:h text:outline-level="{level}">{escape(text)}</text:h>'
        if level
        else f"<text:p>{escape(text)}</text:p>"
        for level, text in paragraphs
    )
    kind = "application/vnd.oasis.opendocument.text"
    content = f"{XML}<office:document-content {spaces}><office:body><office:text>{body}</office:text></office:body></office:document-content>"
    return zipped({"mimetype": kind, "content.xml": content}, zipfile.ZIP_STORED)


def epub(chapters):
    """A book of ``(title, text)``."""
    names = [f"chapter{number}.xhtml" for number in range(1, len(chapters) + 1)]
    items = "".join(
        f'<item id="c{at}" href="{name}" media-type="application/xhtml+xml"/>'
        for at, name in enumerate(names)
    )
    spine = "".join(f'<itemref idref="c{at}"/>' for at in range(len(names)))
    package = (
        f'{XML}<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id"><metadata '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">book</dc:identifier><dc:title>Book</dc:title>'
        f"<dc:language>en</dc:language></metadata><manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    container = (
        f'{XML}<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/content.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    parts = {
        f"OEBPS/{name}": f'{XML}<html xmlns="http://www.w3.org/1999/xhtml"><head><title>{escape(title)}</title></head>'
        f"<body><h1>{escape(title)}</h1><p>{escape(text)}</p></body></html>"
        for name, (title, text) in zip(names, chapters, strict=True)
    }
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": container,
            "OEBPS/content.opf": package,
            **parts,
        },
        zipfile.ZIP_STORED,
    )
