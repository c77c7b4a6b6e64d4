"""Ingestion: the processing that takes a dataset file from `uploaded` to `ready` or `failed`.

The row in ``files_datasetfile`` is the truth; messages of the broker only wake workers. A worker claims the next
row with a lease (``claims``), extends it in a thread (``heartbeat``), and runs the steps (``pipeline``), each of
which may run twice. Every write depends on the lease, so a worker that has lost it writes nothing.
"""
