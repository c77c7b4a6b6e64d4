"""Configuration of the web server: ``gunicorn -c gtapi/gunicorn.py gtapi.asgi:application``."""

import os
from typing import Any

from gtapi.stack.process import die_with_parent

bind = os.environ.get("WEB_BIND") or f"127.0.0.1:{os.environ.get('PORT') or 8000}"
worker_class = "gtapi.web.uvicorn_worker.GatewayWorker"
workers = int(os.environ.get("WEB_CONCURRENCY") or min(len(os.sched_getaffinity(0)), 4))
# Each worker loads the application by itself: connections and the event loop do not survive a fork.
preload_app = False
# The usage records say more than an access log would, and cost less.
accesslog = None
errorlog = "-"
# Seconds without a sign of life after which a worker is replaced; requests may take longer.
timeout = 60
# Seconds that requests in flight get when the server is told to stop.
graceful_timeout = int(os.environ.get("GRACEFUL_TIMEOUT") or 30)
keepalive = 75
backlog = 4096
control_socket_disable = True


def post_fork(_server: Any, _worker: Any) -> None:
    """Take the workers down with a master that was killed, or they would keep the port from the next one."""
    die_with_parent()
