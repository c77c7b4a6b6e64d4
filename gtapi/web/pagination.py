"""Cursor pagination with OpenAI's parameters: ``limit``, ``order``, ``after`` and ``before``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet

from gtapi.json_types import JSON
from gtapi.validation import invalid, one_of
from gtapi.web.request import APIRequest

Row = TypeVar("Row", bound=Model)
DEFAULT_LIMIT = 20
MAX_LIMIT = 100


@dataclass(frozen=True, slots=True)
class PageQuery:
    """The pagination parameters of a request. ``after`` and ``before`` are ids, or empty."""

    limit: int
    order: str
    after: str
    before: str

    @classmethod
    def from_request(
        cls, request: APIRequest, *, default: int = DEFAULT_LIMIT, max_limit: int = MAX_LIMIT
    ) -> "PageQuery":
        """Parse the query string of a request.

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
        """Return one page of ``objects``, which are sorted oldest first, and whether there are more.

        Raises:
            BadRequest: the list has no object with the id in ``after`` or ``before``.
        """
        matches = list(objects if self.order == "asc" else reversed(objects))
        if self.after:
            matches = matches[self._index(matches, "after", self.after) + 1 :]
        if self.before:
            matches = matches[: self._index(matches, "before", self.before)]
        page = matches[-self.limit :] if self._backwards else matches[: self.limit]
        return page, len(matches) > self.limit

    def _index(self, objects: Sequence[JSON], name: str, cursor: str) -> int:
        for index, item in enumerate(objects):
            if item["id"] == cursor:
                return index
        raise invalid(name, "no object in this list has this id")

    def paginate_rows(self, rows: "QuerySet[Row]", *, key: str = "pk") -> tuple[list[Row], bool]:
        """Return one page of ``rows``, sorted by ``created_at``, and whether there are more.

        ``key`` is the field with the id that clients use.

        Raises:
            BadRequest: no row has the id in ``after`` or ``before``.
        """
        descending = self.order == "desc"
        selected = rows
        for name, cursor, later in (
            ("after", self.after, not descending),
            ("before", self.before, descending),
        ):
            if cursor:
                selected = selected.filter(_beyond(rows, name, cursor, key, later=later))
        sign = "-" if descending != self._backwards else ""
        matches = list(selected.order_by(f"{sign}created_at", f"{sign}pk")[: self.limit + 1])
        page = matches[: self.limit]
        if self._backwards:
            page.reverse()
        return page, len(matches) > self.limit

    @property
    def _backwards(self) -> bool:
        """Whether the page ends at a cursor rather than starts at one."""
        return bool(self.before and not self.after)


def _beyond(rows: "QuerySet[Any]", name: str, cursor: str, key: str, *, later: bool) -> Q:
    """Return the condition for rows before or after the row with the id ``cursor``."""
    # PostgreSQL rejects NUL even in a comparison.
    cursor_rows = rows.filter(**{key: cursor}) if "\0" not in cursor else rows.none()
    position = cursor_rows.values_list("created_at", "pk").first()
    if position is None:
        raise invalid(name, "no object in this list has this id")
    operator = "gt" if later else "lt"
    created_at, pk = position
    return Q((f"created_at__{operator}", created_at)) | Q(("created_at", created_at), (f"pk__{operator}", pk))


def list_object(objects: Sequence[JSON], has_more: bool) -> JSON:
    """Return a page as a list object."""
    return {
        "object": "list",
        "data": list(objects),
        "first_id": objects[0]["id"] if objects else None,
        "last_id": objects[-1]["id"] if objects else None,
        "has_more": has_more,
    }
