"""An HTTP client with a tenant's key that remembers every response, for the checks of a runbook."""

from dataclasses import dataclass, field
from typing import Any

import httpx

from inference.policy import report
from tenants.models import InferenceKey, Tenant


class CheckFailed(Exception):
    """The checklist's line does not hold; the text says why."""


class CheckSkipped(Exception):
    """There is nothing to check; the text says why."""


@dataclass(slots=True)
class CheckClient:
    """A client with a key of a tenant, and every response it received."""

    http: httpx.Client
    tenant: Tenant
    key: InferenceKey
    model: str = ""
    responses: list[httpx.Response] = field(default_factory=list)

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Return an answer, whatever its status.

        Raises:
            CheckFailed: there is none.
        """
        try:
            response = self.http.request(method, path, **request)
        except httpx.HTTPError as error:
            raise CheckFailed(f"{method} {path}: no answer ({type(error).__name__})") from error
        self.responses.append(response)
        return response

    def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Return an answer whose status is 200."""
        response = self.send(method, path, **request)
        if response.status_code != 200:
            raise CheckFailed(f"{method} {path}: {response.status_code} {_message(response)}")
        return response

    def callable_names(self, path: str = "") -> list[str]:
        """Return the names that the key may call, on any route or on the one with ``path``; agents first."""
        rows = [
            row.target
            for row in report(self.key)
            if any(verdict.allowed and path in ("", endpoint.path) for endpoint, verdict in row.verdicts)
        ]
        return [
            target.name for target in sorted(rows, key=lambda target: (target.kind != "agent", target.name))
        ]


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return response.reason_phrase
