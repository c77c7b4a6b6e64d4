"""Numbers and moments as people read them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from gtapi.templatetags.amounts import ago, size


@pytest.mark.parametrize(
    ("age", "said"),
    [
        ({"seconds": 0}, "just now"), ({"seconds": 59}, "just now"), ({"seconds": -5}, "just now"),
        ({"seconds": 61}, "1 minute ago"), ({"hours": 49}, "2 days ago"),
    ],
)  # fmt: skip
def test_a_moment_is_said_in_its_largest_unit(age, said):
    assert ago(timezone.now() - timedelta(**age)).replace("\xa0", " ") == said


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1400, "1.4 kB"), (10**9, "1.0 GB")],
)
def test_a_size_has_a_unit(number, said):
    assert size(number) == said
