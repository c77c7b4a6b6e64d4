"""From an uploaded file to one that is ready: who works on what, and what is kept of it.

The row in ``files_datasetfile`` is the truth, and a message of the broker only wakes somebody up. A worker claims
the next row by a lease (``claims``), keeps it alive from a thread (``heartbeat``), and does its steps (``work``),
each of which may run twice. What it writes depends on its lease, so a worker that lost it writes nothing.
"""
