"""A synthetic list of machine error codes, with questions that name one by its code; the same each time.

The passages hardly differ except in the code. The set was made after search had been tuned on the other one, and
nothing was tuned on it.
"""

import random

DEVICES = ("boiler", "pump station", "label printer", "conveyor", "chiller", "lift")
PARTS = ("pressure sensor", "main valve", "door switch", "motor", "fan", "control board", "battery", "belt")
FAULTS = (
    ("does not answer", "Check the cable and switch the device off and on again."),
    ("reports a value out of range", "Clean the contact and calibrate it in the service menu."),
    ("is too hot", "Let it cool for half an hour and check the filter."),
    ("is blocked", "Remove what is in its way and turn it by hand once."),
)
COUNT = 120
ASKED = 40
ASKS = (
    "What does {code} mean?",
    "The {device} shows {code}, what should I do?",
    "{code}",
    "How do I get rid of error {code} on the {device}?",
)


def make() -> tuple[list[str], list[tuple[str, str]]]:
    """Return the passages, and the questions with the code of the right passage."""
    chance = random.Random(7)
    codes = [f"{chance.choice('EFW')}-{number}" for number in chance.sample(range(1000, 9999), COUNT)]
    passages, asked = [], []
    for at, code in enumerate(codes):
        device, part = chance.choice(DEVICES), chance.choice(PARTS)
        fault, remedy = chance.choice(FAULTS)
        passages.append(f"Fault {code}: the {part} of the {device} {fault}. {remedy}")
        if at < ASKED:
            asked.append((ASKS[at % len(ASKS)].format(code=code, device=device), code))
    return passages, asked
