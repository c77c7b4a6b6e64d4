"""Numbers of things in words, for everybody who reads one: operators, clients, and who runs a command."""


def pluralize(number: int, things: str) -> str:
    """Return a number with what it counts: ``1 file``, ``1,234 files``.

    ``things`` is the word for one of them. Where an ``s`` does not make it many, both are given: ``entry,entries``.
    """
    one, _, many = things.partition(",")
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
