"""Mail: who writes to whom, when and what. Attachments are named and not read."""

from collections.abc import Iterator
from email import policy
from email.errors import MessageError
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

from files.extraction.formats.html import markdown
from files.extraction.formats.text import decode
from files.extraction.sections import ExtractionError, Section

_SAID = ("Subject", "From", "To", "Cc", "Date")


def sections(path: Path, name: str) -> Iterator[Section]:
    with path.open("rb") as file:
        message = BytesParser(EmailMessage, policy=policy.default).parse(file)
    try:
        said = [f"{name}: {message[name]}" for name in _SAID if message[name]]
        body = message.get_body(("plain", "html"))
        attached = [part.get_filename() or "" for part in message.iter_attachments()]
    except (MessageError, LookupError, ValueError, TypeError, AttributeError):
        raise ExtractionError("broken_file") from None
    if any(attached):
        said.append(f"Attachments: {', '.join(filter(None, attached))}")
    text = _text(body) if isinstance(body, EmailMessage) else ""
    subject = str(message["Subject"] or "")
    yield Section("\n".join(said) + "\n\n" + text, None, subject)


def _text(part: EmailMessage) -> str:
    payload = part.get_payload(decode=True)
    content = decode(payload if isinstance(payload, bytes) else b"", part.get_content_charset() or "")
    return markdown(content) if part.get_content_subtype() == "html" else content
