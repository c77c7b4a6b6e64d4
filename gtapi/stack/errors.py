"""Errors of the launcher and the embedded servers."""


class StackError(Exception):
    """A service cannot start. The message is shown to the user, and the exit status is 1."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM was received while the launcher was waiting."""
