"""Logging filters."""

import logging

#: Loggers of requests that Django rejects with a 400, such as those with an invalid Host header.
REJECTED_REQUESTS = "django.security."


class OmitTracebacks(logging.Filter):
    """Logs rejected requests without their traceback, which adds nothing and could flood the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith(REJECTED_REQUESTS):
            record.exc_info = record.exc_text = None
        return True
