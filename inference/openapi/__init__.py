"""The description of the API: what each route takes and answers, for programs and for people.

Each route has a file in ``routes/``, written by hand; paths, scopes and capabilities come from the registry of
endpoints. Of these are made the OpenAPI description, the reference page and the pages in ``docs/routes/``. Tests
hold all of it against the running gateway.
"""
