"""Kreuzberg, as the formats that need it call it."""

from pathlib import Path

import kreuzberg

from files.extraction.sections import ExtractionError

#: Words by which the library says that a password is missing.
_LOCKED = ("password", "encrypt", "protected")


def read(
    path: Path, mime_type: str, *, pages: kreuzberg.PageConfig | None = None
) -> kreuzberg.ExtractionResult:
    """Return a file's content as Markdown. Raises ExtractionError: encrypted_file, broken_file."""
    config = kreuzberg.ExtractionConfig(
        use_cache=False,
        enable_quality_processing=False,
        output_format="markdown",
        pages=pages,
        concurrency=kreuzberg.ConcurrencyConfig(max_threads=1),
    )
    try:
        return kreuzberg.extract_file_sync(path, mime_type, config=config)
    except kreuzberg.KreuzbergError as error:
        said = str(error).lower()
        raise ExtractionError(
            "encrypted_file" if any(map(said.__contains__, _LOCKED)) else "broken_file"
        ) from None
