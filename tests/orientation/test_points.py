"""Tokens of orientation points, and what is left of a message without them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.db.encryption import Vault
from bot.messages import LANGUAGES, Incoming, Kind, Language
from bot.orientation import points
from bot.orientation.points import Scanned

VAULT = Vault(bytes(range(32)))
CODE = b"\x07cafe"
TOKEN = points.token(VAULT, CODE)
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
codes = st.binary(min_size=points.CODE, max_size=points.CODE)


def event(text: str, kind: Kind = Kind.TEXT) -> Incoming:
    """Something a person wrote, or a deep link's payload."""
    return Incoming("whatsapp", "w1", "212600000000", kind, text)


@given(codes, st.binary(min_size=32, max_size=32))
def test_a_token_leads_back_to_its_point(code: bytes, key: bytes) -> None:
    """Under the key that signed it, in whatever case it is typed; in the 64 characters that Telegram allows."""
    vault = Vault(key)
    token = points.token(vault, code)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", token) and len(token) == points.LENGTH
    assert points.read(vault, token) == points.read(vault, token.upper()) == code


@given(codes, st.integers(0, points.LENGTH - 1), st.sampled_from(ALPHABET))
def test_a_changed_token_is_none(code: bytes, where: int, letter: str) -> None:
    """Any other letter anywhere, or another installation's key, and nobody signed it."""
    token = points.token(VAULT, code)
    changed = token[:where] + letter + token[where + 1 :]
    assert points.read(VAULT, changed) == (code if changed == token else None)
    assert points.read(Vault(bytes(32)), token) is None


@given(st.text(max_size=80) | st.text(ALPHABET, max_size=64) | st.text(ALPHABET + "=", min_size=24, max_size=24))
def test_nothing_made_up_is_read(given_: str) -> None:
    """Whatever stands in a link is read or refused, never an error."""
    assert points.read(VAULT, given_) is None


@given(codes, codes)
def test_tokens_of_two_points_have_nothing_in_common(one: bytes, other: bytes) -> None:
    """The signature of one point is none for another."""
    if one != other:
        assert points.token(VAULT, one)[8:] != points.token(VAULT, other)[8:]


def test_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hmac.compare_digest, and nothing beside it: without it, the right token is none."""
    monkeypatch.setattr("bot.orientation.points.hmac.compare_digest", lambda *_: False)
    assert points.read(VAULT, TOKEN) is None


def test_the_payload_of_a_link() -> None:
    """Begins the conversation whatever it is; its text goes no further."""
    assert points.scanned(VAULT, event(TOKEN, Kind.START)) == Scanned(Kind.START, "", CODE, None)
    for payload in ("", "op_7Kd2-casa", TOKEN[:-1], "a\nb", "é" * 24):
        assert points.scanned(VAULT, event(payload, Kind.START)) == Scanned(Kind.START, "", None, None)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_greeting_of_a_poster(language: Language) -> None:
    """It begins the conversation and is no question, with a token of ours or a forged one."""
    greeting = points.greeting(VAULT, CODE, language)
    for written in (greeting, f"  {greeting}\n", greeting.upper(), greeting.replace("(", "").replace(")", "")):
        assert points.scanned(VAULT, event(written)) == Scanned(Kind.START, "", CODE, language)
    forged = greeting.replace(TOKEN, "b" * points.LENGTH)
    assert points.scanned(VAULT, event(forged)) == Scanned(Kind.START, "", None, language)
    assert points.scanned(VAULT, event(TOKEN)) == Scanned(Kind.START, "", CODE, None)


def test_what_was_written_around_it() -> None:
    """Remains what was said, without the token."""
    greeting = points.greeting(VAULT, CODE, "fr")
    asked = points.scanned(VAULT, event(f"{greeting} c'est gratuit ?"))
    assert asked == Scanned(Kind.TEXT, "Bonjour Rafiq c'est gratuit ?", CODE, None)
    assert points.scanned(VAULT, event(greeting, Kind.EDITED)) == Scanned(Kind.EDITED, "Bonjour Rafiq", CODE, "fr")


@pytest.mark.parametrize(
    "said",
    ["Bonjour Rafiq", "Bonjour Rafiq attestation", "Hello Rafiq (help)", "j'appelle le 0612345678901234567890", "",
     "anticonstitutionnellement", "b" * 24, "مرحبا رفيق كيف الحال"],
)  # fmt: skip
def test_other_messages_stay_as_they_are(said: str) -> None:
    """No word of a message is taken for a token that is none."""
    assert points.scanned(VAULT, event(said)) == Scanned(Kind.TEXT, said, None, None)


def test_only_what_is_written_is_looked_at() -> None:
    """A picture's caption, a press and all the rest go by unchanged."""
    for kind in set(Kind) - {Kind.TEXT, Kind.EDITED, Kind.START}:
        assert points.scanned(VAULT, event(TOKEN, kind)) == Scanned(kind, TOKEN, None, None)
