"""A Host header with an unknown host."""

import httpx
import pytest

from tests.factories import unique


@pytest.mark.parametrize("path", ["/", "/admin/", "/admin/login/", "/nowhere"])
@pytest.mark.parametrize("host", ["{}.example", "{}..example", "{}_\u00e9"])
def test_outside_the_api_it_is_a_400_and_one_line_in_the_log(gateway, path, host):
    host = host.format(unique("host"))
    before = len(gateway.said())
    answer = httpx.get(gateway.url + path, headers={"host": host.encode("latin-1")})
    said = gateway.said()[before:]
    assert answer.status_code == 400
    assert "Traceback" not in said
    assert said.count("Invalid HTTP_HOST header") == 1
