"""gunicorn configuration: ``gunicorn -c gtapi/gunicorn.py gtapi.asgi:application``."""

import os
from typing import Any

from gtapi.stack.process import die_with_parent

bind = os.environ.get("WEB_BIND") or f"127.0.0.1:{os.environ.get('PORT') or 8000}"
worker_class = "gtapi.web.uvicorn_worker.GatewayWorker"
workers = int(os.environ.get("WEB_CONCURRENCY") or min(len(os.sched_getaffinity(0)), 4))
# Each worker loads the application after the fork: connections and the event loop do not survive one.
preload_app = False
# Usage records replace the access log.
accesslog = None
errorlog = "-"
# Seconds without a heartbeat after which a worker is restarted. Requests may take longer.
timeout = 60
# Seconds that requests in progress may take to finish after SIGTERM.
graceful_timeout = int(os.environ.get("GRACEFUL_TIMEOUT") or 30)
keepalive = 75
backlog = 4096
control_socket_disable = True


def post_fork(_server: Any, _worker: Any) -> None:
    """End the workers if their master is killed. Otherwise they would keep its port occupied."""
    die_with_parent()
