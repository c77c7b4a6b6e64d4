"""Pluralize counts for messages: ``1 file``, ``1,234 files``."""


def pluralize(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 file``, ``1,234 files``.

    ``noun`` is the singular. If the plural is irregular, give both: ``entry,entries``.
    """
    singular, _, plural = noun.partition(",")
    return f"{number:,} {singular if number == 1 else plural or f'{singular}s'}"
