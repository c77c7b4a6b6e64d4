"""What goes to the log."""

import logging

#: Faults of a request that Django refuses with a 400 by itself, a Host header of nobody's among them.
REFUSED = "django.security."


class WithoutTracebacks(logging.Filter):
    """Leaves the message of a refused request. The traceback tells nothing more, and anybody can cause it."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith(REFUSED):
            record.exc_info = record.exc_text = None
        return True
