"""What is wrong with a configuration, and how a command says so."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.db import Error as DatabaseError
from django.db import ProgrammingError


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing that is wrong, and where, as in ``tenants[0].agents[1].alias``. It never holds a secret."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigurationError(Exception):
    """A configuration that cannot be applied; all that is wrong with it, and never a value that may be secret."""

    def __init__(self, problems: Sequence[ConfigProblem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def nearest(name: str, options: Iterable[str]) -> str | None:
    """Return the one of ``options`` that ``name`` was probably meant to be."""
    options = list(options)
    containing = [option for option in options if len(name) > 2 and name in option]
    return next(iter(get_close_matches(name, options, n=1) or containing), None)


def unknown(kind: str, name: str, options: Iterable[str]) -> str:
    """Return the sentence for a name that stands for nothing."""
    meant = nearest(name, options)
    return f"there is no {kind} '{name}'" + (f"; did you mean '{meant}'?" if meant else "")


@contextmanager
def reported() -> Iterator[None]:
    """Turn what can go wrong inside into a ``CommandError``: sentences, no traceback, exit status 1."""
    try:
        yield
    except ConfigurationError as error:
        raise CommandError(str(error)) from None
    except ProgrammingError:
        raise CommandError("The database's tables are not up to date. Run: manage.py migrate") from None
    except DatabaseError as error:
        raise CommandError(f"The database refused: {_first_line(error)}") from None
    except ImproperlyConfigured as error:
        raise CommandError(f"The settings do not fit: {error}") from None


def _first_line(error: DatabaseError) -> str:
    """Return the database's own sentence, without the detail, which may quote a row."""
    diagnosis = getattr(error.__cause__, "diag", None)
    return getattr(diagnosis, "message_primary", None) or str(error).partition("\n")[0]
