"""A word of the person's own that hides the conversation, for when somebody else looks.

Only a keyed hash of it is kept, and it is never said again. bot/conversation/knowing.py does the hiding.
"""

from __future__ import annotations

import hmac
import re
from functools import cache
from typing import Any

from sqlalchemy import select, update

from bot.assistant import language
from bot.assistant.commands import command
from bot.assistant.values import numerals, read_age_group, read_country, read_yes_no
from bot.db.models import Person
from bot.journeys.context import Context
from bot.journeys.conversation import ways_on
from bot.settings import ROOT
from nlu.normalise import normalise, without_accents

LEAVE = "safe_word_leave"  # under the message that asks for the word: what is typed below it is the word
LONGEST, MOST_WORDS, FEWEST_LETTERS = 40, 3, 5
_WORD = re.compile(r"\w+")
_EXAMPLE = re.compile(r"^\s*- (.+)$", re.M)


async def choose(ctx: Context, **_: Any) -> None:
    """What a safe word does, and the question for it; one that is there can be changed or taken away."""
    leave = ctx.do("button.not_now", LEAVE)
    if await _kept(ctx) is None:
        ctx.say("safe_word.ask", [leave])
    else:
        ctx.say("safe_word.change", [leave, ctx.do("button.safe_word_remove", "safe_word_remove")])


async def leave(ctx: Context, **_: Any) -> None:
    """Nothing changes."""
    ctx.say("safe_word.left", [ctx.do("button.help", "help")])


async def remove(ctx: Context, **_: Any) -> None:
    """No word hides the conversation any more."""
    await ctx.session.execute(update(Person).where(Person.id == ctx.person_id).values(safe_word=None))
    ctx.say("safe_word.removed", [ctx.do("button.help", "help")])


async def keep(ctx: Context, **_: Any) -> None:
    """Take what was typed as the word, unless it is one that people write anyway. It is not kept as it was written."""
    ctx.forget_words = True
    if is_common(ctx.text):
        ctx.say("safe_word.refused", [ctx.do("button.not_now", LEAVE)])
        return
    digest = _digest(ctx, ctx.text)
    await ctx.session.execute(update(Person).where(Person.id == ctx.person_id).values(safe_word=digest))
    ctx.say("safe_word.kept", [ctx.do("button.clear_chat", "clear_chat"), ctx.do("button.help", "help")])


async def hidden(ctx: Context) -> None:
    """What is said when it is written: what any conversation might end and begin with."""
    ctx.forget_words = True
    ctx.say("safe_word.hidden", ways_on(ctx))


def is_it(ctx: Context, typed: str, kept: bytes | None) -> bool:
    """Whether this whole message is their safe word."""
    return kept is not None and 0 < len(typed) <= 2 * LONGEST and hmac.compare_digest(_digest(ctx, typed), kept)


def is_common(typed: str) -> bool:
    """Whether this may be written without meaning it: a short or long text, a number, only words of every day."""
    said = _plain(typed)
    words = said.split()
    return (
        not 0 < len(words) <= MOST_WORDS
        or len(said) > LONGEST
        or sum(letter.isalpha() for letter in said) < FEWEST_LETTERS
        or any(letter.isdigit() for letter in said)
        or command(typed) is not None
        or language.named(typed) is not None
        or numerals.whole(said) is not None
        or read_country(typed) is not None
        or read_yes_no(typed) != "unknown"
        or read_age_group(typed) != "unknown"
        or _said_anyway().issuperset(words)
    )


@cache
def _said_anyway() -> frozenset[str]:
    """Every word of the messages that the assistant learnt from: what people write to it."""
    found: set[str] = set()
    for file in sorted((ROOT / "nlu").glob("*/*.yml")):
        for example in _EXAMPLE.findall(file.read_text(encoding="utf-8")):
            found.update(_plain(example).split())
    return frozenset(found)


async def _kept(ctx: Context) -> bytes | None:
    kept: bytes | None = await ctx.session.scalar(select(Person.safe_word).where(Person.id == ctx.person_id))
    return kept


def _digest(ctx: Context, typed: str) -> bytes:
    return ctx.vault.digest("safe word", str(ctx.person_id), _plain(typed))


def _plain(words: str) -> str:
    return " ".join(_WORD.findall(without_accents(normalise(words))))
