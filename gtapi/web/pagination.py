"""Lists in pages, as OpenAI's clients ask for them: ``limit``, ``order``, ``after`` and ``before``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet

from gtapi.validation import invalid, one_of
from gtapi.web.request import APIRequest

JSON = dict[str, Any]
Row = TypeVar("Row", bound=Model)
DEFAULT_LIMIT = 20
MAX_LIMIT = 100


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Which part of a list is asked for; ``after`` and ``before`` are ids, empty where there is none."""

    limit: int
    order: str
    after: str
    before: str

    @classmethod
    def from_request(
        cls, request: APIRequest, *, default: int = DEFAULT_LIMIT, max_limit: int = MAX_LIMIT
    ) -> "PageQuery":
        """Return what the query of a request asks for.

        Raises:
            BadRequest: ``limit`` or ``order`` is not valid.
        """
        limit = request.GET.get("limit") or str(default)
        digits = limit.isascii() and limit.isdecimal() and len(limit) <= len(str(max_limit))
        if not digits or not 1 <= int(limit) <= max_limit:
            raise invalid("limit", f"expected an integer between 1 and {max_limit}")
        order = request.GET.get("order") or "desc"
        one_of(("asc", "desc"))("order", order)
        return cls(int(limit), order, request.GET.get("after") or "", request.GET.get("before") or "")

    def paginate_list(self, objects: Sequence[JSON]) -> tuple[list[JSON], bool]:
        """Return the part of ``objects``, the oldest first, and whether there is more.

        Raises:
            BadRequest: ``after`` or ``before`` names none of them.
        """
        found = list(objects if self.order == "asc" else reversed(objects))
        if self.after:
            found = found[self._place(found, "after", self.after) + 1 :]
        if self.before:
            found = found[: self._place(found, "before", self.before)]
        kept = found[-self.limit :] if self._backwards else found[: self.limit]
        return kept, len(found) > self.limit

    def _place(self, objects: Sequence[JSON], name: str, wanted: str) -> int:
        places = [at for at, built in enumerate(objects) if built["id"] == wanted]
        if not places:
            raise invalid(name, "there is no such object in this list")
        return places[0]

    def paginate_rows(self, rows: "QuerySet[Row]", *, key: str = "pk") -> tuple[list[Row], bool]:
        """Return the part of ``rows``, which have ``created_at``, and whether there is more.

        ``key`` is the field that holds the id by which clients know a row.

        Raises:
            BadRequest: ``after`` or ``before`` names none of them.
        """
        descending = self.order == "desc"
        wanted = rows
        for name, cursor, later in (
            ("after", self.after, not descending),
            ("before", self.before, descending),
        ):
            if cursor:
                wanted = wanted.filter(_beyond(rows, name, cursor, key, later=later))
        sign = "-" if descending != self._backwards else ""
        found = list(wanted.order_by(f"{sign}created_at", f"{sign}pk")[: self.limit + 1])
        kept = found[: self.limit]
        if self._backwards:
            kept.reverse()
        return kept, len(found) > self.limit

    @property
    def _backwards(self) -> bool:
        """Whether the page ends at a place, rather than begins at one."""
        return bool(self.before and not self.after)


def _beyond(rows: "QuerySet[Any]", name: str, cursor: str, key: str, *, later: bool) -> Q:
    """Return the condition for rows on one side of the row that ``cursor`` names."""
    # PostgreSQL takes no NUL, not even to look for one.
    known = rows.filter(**{key: cursor}) if "\0" not in cursor else rows.none()
    place = known.values_list("created_at", "pk").first()
    if place is None:
        raise invalid(name, "there is no such object in this list")
    beyond = "gt" if later else "lt"
    created_at, pk = place
    return Q((f"created_at__{beyond}", created_at)) | Q(("created_at", created_at), (f"pk__{beyond}", pk))


def list_object(objects: Sequence[JSON], has_more: bool) -> JSON:
    """Return a page of a list."""
    return {
        "object": "list",
        "data": list(objects),
        "first_id": objects[0]["id"] if objects else None,
        "last_id": objects[-1]["id"] if objects else None,
        "has_more": has_more,
    }
