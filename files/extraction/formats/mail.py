"""E-mail extractor: headers, text, and the names of attachments, which are not read."""

from collections.abc import Iterator
from email import policy
from email.errors import MessageError
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

from files.extraction.formats.html import markdown
from files.extraction.formats.text import decode
from files.extraction.sections import ExtractionError, Section

_HEADERS = ("Subject", "From", "To", "Cc", "Date")


def sections(path: Path, name: str) -> Iterator[Section]:
    with path.open("rb") as file:
        message = BytesParser(EmailMessage, policy=policy.default).parse(file)
    try:
        header = [f"{name}: {message[name]}" for name in _HEADERS if message[name]]
        body = message.get_body(("plain", "html"))
        attachments = [part.get_filename() or "" for part in message.iter_attachments()]
    except (MessageError, LookupError, ValueError, TypeError, AttributeError):
        raise ExtractionError("broken_file") from None
    if any(attachments):
        header.append(f"Attachments: {', '.join(filter(None, attachments))}")
    text = _text(body) if isinstance(body, EmailMessage) else ""
    subject = str(message["Subject"] or "")
    yield Section("\n".join(header) + "\n\n" + text, None, subject)


def _text(part: EmailMessage) -> str:
    payload = part.get_payload(decode=True)
    content = decode(payload if isinstance(payload, bytes) else b"", part.get_content_charset() or "")
    return markdown(content) if part.get_content_subtype() == "html" else content
