"""Server-sent events, as providers send them: any split of bytes, both line ends, comments in between."""

#: Largest event that is still read, in bytes; audio and images come as one.
MAX_EVENT_BYTES = 32 * 1024 * 1024


class EventTooLarge(ValueError):
    """An event outgrew ``MAX_EVENT_BYTES``."""


class EventParser:
    """Turns bytes into the ``data`` of events, one call a network read."""

    __slots__ = ("_data", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, received: bytes) -> list[bytes]:
        """Return the data of the events that ``received`` completes.

        Raises:
            EventTooLarge: no event ends for too long.
        """
        lines = (self._rest + received).split(b"\n")
        self._rest = lines.pop()
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
        if len(self._rest) > MAX_EVENT_BYTES or sum(map(len, data)) > MAX_EVENT_BYTES:
            raise EventTooLarge
        return events

    def pending(self) -> bool:
        """Tell whether an event has begun that did not end."""
        return bool(self._data) or self._rest.lstrip(b"\r\n").startswith(b"data:")
