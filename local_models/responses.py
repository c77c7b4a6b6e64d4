"""JSON responses."""

from typing import Any

import orjson
from aiohttp import web


def json_response(data: Any, status: int = 200) -> web.Response:
    """Return ``data`` as a JSON response."""
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json")
