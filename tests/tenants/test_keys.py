"""The format of keys, and which strings are refused without a database query."""

import re

from django.conf import settings

from tenants import keys


def test_key_has_the_documented_format():
    new = keys.generate()
    assert re.fullmatch(r"gtak_[0-9A-Za-z]{12}_[0-9A-Za-z]{46}", new.plain)
    assert new.plain.startswith(f"gtak_{new.public_id}_")
    assert keys.public_id(new.plain) == new.public_id


def test_every_single_typo_is_refused_by_the_checksum():
    plain = keys.generate().plain
    for index in range(len(plain)):
        typo = plain[:index] + ("a" if plain[index] != "a" else "b") + plain[index + 1 :]
        assert keys.public_id(typo) is None


def test_malformed_keys_are_refused():
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


def test_digest_depends_on_the_pepper_and_old_peppers_are_accepted():
    new = keys.generate()
    assert keys.matches(new.plain, new.digest)
    assert keys.matches(new.plain, keys.digest(new.plain, settings.KEY_PEPPERS[-1]))
    assert not keys.matches(new.plain, keys.digest(new.plain, "another pepper"))
    assert not keys.matches(keys.generate().plain, new.digest)


def test_repr_of_a_new_key_hides_its_plain_text():
    new = keys.generate()
    assert new.plain not in repr(new)
