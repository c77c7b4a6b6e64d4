"""The request behind "Test this provider": asks a server for its list of models; for any wire."""

from collections.abc import Callable, Iterable, Mapping
from time import monotonic

import httpx

from gtapi.errors import UpstreamFailed
from gtapi.text import pluralize
from inference.providers.base import ConnectionTest, ProviderConnection
from inference.providers.decompression import decompressor
from inference.providers.error_mapping import detail

#: How much of a list of models is read, in bytes, and for how many seconds.
MAX_BYTES = 8 * 1024 * 1024
MAX_SECONDS = 10
#: What an operator can check, by status.
_HINTS = {
    401: "Check its API key.",
    403: "Check its API key, and what the key may do.",
    404: "Check its base URL, which usually ends with /v1.",
}
_UNREACHABLE = "Check its base URL, whether it runs, and whether this machine may connect to it."


def list_models(
    connection: ProviderConnection,
    path: str,
    headers: Mapping[str, str],
    read_ids: Callable[[bytes], Iterable[str]],
) -> ConnectionTest:
    """Return whether a provider answers, and its models.

    Args:
        connection: the provider.
        path: the path of its list of models, below the base URL.
        headers: the headers of the request, with the credential.
        read_ids: returns the ids in the body of a response; ValueError, KeyError or TypeError if it has none.
    """

    def failed(message: str) -> ConnectionTest:
        return ConnectionTest(False, detail(connection, message))

    try:
        status, body = _get(connection, path, headers)
    except UpstreamFailed as error:
        return failed(error.detail)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError) as error:
        return failed(f"cannot be reached ({type(error).__name__}). {_UNREACHABLE}")
    if status != 200:
        text = body[:200].decode(errors="replace")
        return failed(f"answered {status} to GET {path}: {text} {_HINTS.get(status, '')}".strip())
    try:
        models = tuple(read_ids(body))
    except (ValueError, KeyError, TypeError):
        return failed(f"the response to GET {path} is not a list of models")
    return ConnectionTest(True, f"{connection.name} answered with {pluralize(len(models), 'model')}.", models)


def _get(connection: ProviderConnection, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
    """Return the status and the body, up to ``MAX_BYTES`` of it."""
    deadline = monotonic() + MAX_SECONDS
    data = bytearray()
    timeouts = httpx.Timeout(MAX_SECONDS, connect=connection.timeouts.connect)
    url = connection.base_url + path
    with httpx.stream("GET", url, headers=headers, timeout=timeouts, trust_env=False) as response:
        decompress = decompressor(response.headers.get("content-encoding", ""))
        for received in response.iter_raw():
            data += decompress(received) if decompress else received
            if len(data) > MAX_BYTES or monotonic() > deadline:
                break
    return response.status_code, bytes(data[:MAX_BYTES])
