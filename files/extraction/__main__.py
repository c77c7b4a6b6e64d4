"""``python -m files.extraction PATH FORMAT``: read one file, say what is in it as JSON, and end."""

import json
import sys
from pathlib import Path

from files.extraction.formats import extractor
from files.extraction.sections import ExtractionError


def main() -> None:
    path, name = sys.argv[1:]
    answer: dict[str, object]
    try:
        found = [section for section in extractor(name)(Path(path), name) if section.text.strip()]
        if not found:
            raise ExtractionError("no_text")
        answer = {
            "sections": [
                {"text": s.text.replace("\r\n", "\n").strip(), "page": s.page, "heading": s.heading}
                for s in found
            ]
        }
    except ExtractionError as error:
        answer = {"code": error.code, "message": error.message}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
