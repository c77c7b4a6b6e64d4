"""A parser for server-sent events that accepts any split of bytes, both line ends, and comments."""

#: Largest event that is accepted, in bytes; audio and images arrive as one event.
MAX_EVENT_BYTES = 32 * 1024 * 1024


class EventTooLarge(ValueError):
    """An event is larger than ``MAX_EVENT_BYTES``."""


class EventParser:
    """Turns bytes into the ``data`` of events, one call per network read."""

    __slots__ = ("_data", "_pending_bytes", "_rest")

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._data: list[bytes] = []
        #: The approximate size of the incomplete event.
        self._pending_bytes = 0

    def feed(self, received: bytes) -> list[bytes]:
        """Return the data of the events that ``received`` completes.

        Raises:
            EventTooLarge: an event does not end within ``MAX_EVENT_BYTES``.
        """
        if b"\n" not in received:
            # Joined once the line ends, not at each read.
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
            self._pending_bytes = 0
        else:
            self._grow(len(received))
        return events

    def pending(self) -> bool:
        """Tell whether an event has begun and not ended."""
        return bool(self._data) or b"".join(self._rest).lstrip(b"\r\n").startswith(b"data:")

    def _grow(self, size: int) -> None:
        self._pending_bytes += size
        if self._pending_bytes > MAX_EVENT_BYTES:
            raise EventTooLarge
