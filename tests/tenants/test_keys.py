"""The format of a key: what it looks like, and what is refused without asking anybody."""

import re

from django.conf import settings

from tenants import keys


def test_a_key_has_the_documented_format():
    new = keys.generate()
    assert re.fullmatch(r"gtak_[0-9A-Za-z]{12}_[0-9A-Za-z]{46}", new.plain)
    assert new.plain.startswith(f"gtak_{new.public_id}_")
    assert keys.public_id(new.plain) == new.public_id


def test_every_single_typo_is_refused_by_the_checksum():
    plain = keys.generate().plain
    for place in range(len(plain)):
        typo = plain[:place] + ("a" if plain[place] != "a" else "b") + plain[place + 1 :]
        assert keys.public_id(typo) is None


def test_look_alikes_are_refused():
    plain = keys.generate().plain
    for other in (
        "",
        "gtak_",
        plain[:-1],
        plain + "0",
        plain.upper(),
        f" {plain}",
        plain.replace("_", "-"),
        "gtak_\u0661" + plain[6:],
    ):
        assert keys.public_id(other) is None


def test_the_digest_is_keyed_and_an_old_pepper_still_opens():
    new = keys.generate()
    assert keys.matches(new.plain, new.digest)
    assert keys.matches(new.plain, keys.digest(new.plain, settings.KEY_PEPPERS[-1]))
    assert not keys.matches(new.plain, keys.digest(new.plain, "another pepper"))
    assert not keys.matches(keys.generate().plain, new.digest)


def test_a_new_key_does_not_show_itself_in_logs():
    new = keys.generate()
    assert new.plain not in repr(new)
