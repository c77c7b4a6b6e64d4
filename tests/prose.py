"""The prose check of ``make lint``: finds words and phrases that the project's English avoids.

``python -m tests.prose`` checks the paths in ``CHECKED`` and exits with 1 if it finds any; ``--all`` checks the whole
repository, ``--count`` prints the number of findings per folder, and paths as arguments check only these.

Python files: comments and strings (in tests only comments and docstrings). Other files: the whole text.
"""

import argparse
import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
#: Files and folders that ``make lint`` checks.
CHECKED = (
    "*.md",
    ".ci",
    ".env.example",
    "Makefile",
    "Procfile",
    "benchmarks",
    "clients",
    "docs",
    "files",
    "gtapi",
    "inference",
    "local_models",
    "manage.py",
    "pyproject.toml",
    "templates",
    "tenants",
    "tests",
)
#: Regular expression and suggestion, by the name of a pattern.
PATTERNS = {
    "is no": (r"\b(?:there )?(?:is|are|was|were) no (?!longer\b|more than\b|one\b)[a-z]", "is not a …"),
    "of its own": (
        r"\bof (?:its|their|our|your|one's|his|her|my) own\b",
        "own, separate, dedicated or external",
    ),
    "anew": (r"\banew\b", "again, or re-…"),
    "whoever": (r"\bwhoever\b", "name the role: the client, the operator, the worker"),
    "nobody": (r"\bnobody\b", "name the role: no client, no operator"),
    "somebody": (r"\bsomebody\b", "name the role: another process, a client"),
    "everybody": (r"\beverybody\b", "name the role: all clients, all users"),
    "beside": (r"\bbeside\b", "next to, alongside or in addition to"),
    "in work": (r"\bin work\b", "processing"),
    "by itself": (r"\bby (?:itself|themselves)\b", "automatically, or alone"),
    "came by": (r"\b(?:came|comes|come) by\b", "was received by, or was sent as"),
    "so far and so": (r"\bso (?:far|long) and so\b", "say the limit"),
    "the one that": (r"\bthe ones? (?:that|who|which)\b", "repeat the noun"),
    "guillemets": (r"[«»]", "straight quotation marks"),
}
#: Legitimate uses: name of the pattern, path and a text in the line.
ALLOWED = (
    ("nobody", "gtapi/stack/run_as.py", "nobody"),
    # Characters that a table lists.
    ("guillemets", "files/extraction/formats/text.py", "àáâã"),
    ("guillemets", "files/migrations/0001_initial.py", "GeneratedField"),
)
#: Files that are not prose of the project: sample data, lock files, licenses, this list and its test.
SKIPPED = (
    "LICENSE",
    "benchmarks/retrieval/texts/",
    "benchmarks/results/",
    "benchmarks/retrieval/questions.yaml",
    "requirements/",
    "tests/prose.py",
    "tests/test_prose.py",
)
SUFFIXES = {".py", ".md", ".html", ".txt", ".yaml", ".yml", ".js", ".css", ".toml", ".sh", ".example"}
NAMES = {"Makefile", "Procfile", "run"}


@dataclass(frozen=True, slots=True)
class Finding:
    """A phrase to rewrite: the path below the checkout, the line, and what was found."""

    path: str
    line: int
    pattern: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text!r}: write {PATTERNS[self.pattern][1]}"


def findings(path: str, text: str) -> Iterator[Finding]:
    """Yield the findings in the text of a file."""
    lines = text.splitlines()
    for first_line, prose in _prose(path, text):
        # The words of a pattern may be on two lines: replace comment signs between them by spaces.
        flat = re.sub(r"\n[ \t]*(?:#:? ?|// ?|\* ?)?", lambda match: "\n" + " " * (len(match[0]) - 1), prose)
        for name, (pattern, _) in PATTERNS.items():
            for match in re.finditer(pattern.replace(" ", r"\s+"), flat, re.IGNORECASE):
                line = first_line + flat.count("\n", 0, match.start())
                existential = match[0].lower().startswith("there")  # "there is no" is plain English
                if not existential and not _is_allowed(name, path, lines[line - 1]):
                    yield Finding(path, line, name, " ".join(match[0].split()))


def _is_allowed(pattern: str, path: str, line: str) -> bool:
    return any(pattern == name and path == where and text in line for name, where, text in ALLOWED)


def _prose(path: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield passages of prose with the number of their first line."""
    if not path.endswith(".py"):
        yield 1, text
        return
    docstrings = _docstring_lines(text) if path.startswith("tests/") else None
    comment: list[str] = []
    comment_line = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            if comment and token.start[0] != comment_line + len(comment):
                yield comment_line, "\n".join(comment)
                comment = []
            if not comment:
                comment_line = token.start[0]
            comment.append(token.string)
        elif token.type == tokenize.STRING and (docstrings is None or token.start[0] in docstrings):
            yield token.start[0], token.string
    if comment:
        yield comment_line, "\n".join(comment)


def _docstring_lines(text: str) -> set[int]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        node.body[0].lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None
    }


def files(paths: tuple[str, ...]) -> list[str]:
    """Return the tracked files below these paths that contain prose; all files if there are no paths."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--", *paths],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [
        name
        for name in listed.stdout.splitlines()
        if not name.startswith(SKIPPED)
        and (Path(name).suffix in SUFFIXES or Path(name).name in NAMES)
        and (CHECKOUT / name).is_file()
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Find words and phrases that the project's English avoids.")
    parser.add_argument("paths", nargs="*", help="files or folders to check (default: those of `make lint`)")
    parser.add_argument("--all", action="store_true", help="check the whole repository")
    parser.add_argument("--count", action="store_true", help="print only the number of findings per folder")
    options = parser.parse_args()
    chosen = () if options.all else tuple(options.paths) or CHECKED
    found = [
        finding
        for name in files(chosen)
        for finding in findings(name, (CHECKOUT / name).read_text(encoding="utf-8"))
    ]
    if options.count:
        for folder, number in sorted(Counter(finding.path.partition("/")[0] for finding in found).items()):
            print(f"{folder}: {number}")  # noqa: T201 - this is the program's output
    else:
        for finding in found:
            print(finding)  # noqa: T201 - this is the program's output
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
