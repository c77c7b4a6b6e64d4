"""Server-sent events, as providers send them: any split of bytes, both line ends, comments in between."""

#: Largest event that is still read, in bytes; audio and images come as one.
MAX_EVENT_BYTES = 32 * 1024 * 1024


class EventTooLarge(ValueError):
    """An event outgrew ``MAX_EVENT_BYTES``."""


class EventParser:
    """Turns bytes into the ``data`` of events, one call a network read."""

    __slots__ = ("_begun", "_data", "_rest")

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._data: list[bytes] = []
        #: About how many bytes the event has that has begun.
        self._begun = 0

    def feed(self, received: bytes) -> list[bytes]:
        """Return the data of the events that ``received`` completes.

        Raises:
            EventTooLarge: no event ends for too long.
        """
        if b"\n" not in received:
            # Joined once the line ends, and not with each read.
            self._rest.append(received)
            self._grow(len(received))
            return []
        if self._rest:
            received = b"".join([*self._rest, received])
        lines = received.split(b"\n")
        self._rest = [rest] if (rest := lines.pop()) else []
        events: list[bytes] = []
        data = self._data
        for raw in lines:
            line = raw.removesuffix(b"\r")
            if not line:
                if data:
                    events.append(data[0] if len(data) == 1 else b"\n".join(data))
                    data.clear()
            elif line.startswith(b"data:"):
                data.append(line[6:] if line[5:6] == b" " else line[5:])
        if events or not (data or self._rest):
            self._begun = 0
        else:
            self._grow(len(received))
        return events

    def pending(self) -> bool:
        """Tell whether an event has begun that did not end."""
        return bool(self._data) or b"".join(self._rest).lstrip(b"\r\n").startswith(b"data:")

    def _grow(self, size: int) -> None:
        self._begun += size
        if self._begun > MAX_EVENT_BYTES:
            raise EventTooLarge
