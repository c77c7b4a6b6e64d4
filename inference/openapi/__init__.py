"""The API reference: the OpenAPI document, the reference page and the pages in ``docs/routes/``.

All three are built from hand-written YAML files, one for each route, and from the registry of endpoints (paths,
scopes and capabilities). Tests compare them with the running gateway.
"""
