"""What can go wrong before anything is served, each said in one sentence."""


class StackError(Exception):
    """A part cannot start; the text is for the person at the keyboard, and the exit status is 1."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM came in while the launcher was waiting for something."""
