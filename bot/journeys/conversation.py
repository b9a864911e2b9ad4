"""The talk around the journeys: the opening, answers, the ladder when unsure, the languages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot import i18n
from bot.assistant import knowledge, language
from bot.journeys import handoff, learning
from bot.journeys.context import NOT_UNDERSTOOD, Choice, Context
from bot.journeys.emergency import numbers
from bot.messages import LANGUAGES

ABOUT_AFTERWARDS = ("followup_what", "after_arrival_contact")  # who asks this may want to be asked how they are
START_TOPICS = ("avrr_what_is", "is_it_free", "steps_from_morocco")


async def welcome(ctx: Context, **_: Any) -> None:
    """Who speaks, what it can do, that it never asks for money; the three languages."""
    ctx.say("welcome", [_speak(code) for code in LANGUAGES])


async def greet(ctx: Context, **_: Any) -> None:
    """A hello gets a hello and the ways on; whoever begins with one is told first who speaks."""
    if ctx.first:
        await welcome(ctx)
    else:
        ctx.say("greet", ways_on(ctx))


async def help_menu(ctx: Context, **_: Any) -> None:
    """What the assistant can do."""
    ctx.say("help", ways_on(ctx))


async def set_language(ctx: Context, code: str, **_: Any) -> None:
    """The person chose a language: kept from now on."""
    if code in LANGUAGES:
        ctx.language, ctx.language_chosen = code, True
    ctx.say("language.chosen", ways_on(ctx) if ctx.form is None else [])


async def change_language(ctx: Context, **_: Any) -> None:
    """« English please »: the language that was named, else the choice of three."""
    wanted = language.named(ctx.text)
    if wanted is not None:
        await set_language(ctx, wanted)
    else:
        ctx.say("language.which", [_speak(code) for code in LANGUAGES])


async def answer(
    ctx: Context, topic: str | None = None, asked: int | None = None, offered: Sequence[str] = (), **_: Any
) -> None:
    """The vetted answer to a question, its source, and the next questions.

    `asked` is the message that was not understood, where this topic was pressed among those `offered`.
    """
    topic = topic or ctx.understanding.label
    topic = topic or next((e["value"] for e in ctx.understanding.entities if e["entity"] == "topic"), None)
    described = knowledge.topics().get(topic or "")
    if described is None:
        await not_understood(ctx)
        return
    ctx.misunderstood = 0
    ctx.topic = described.id
    room = (2 if described.person else 3) - (described.id in ABOUT_AFTERWARDS)
    choices = [] if ctx.form else [_ask(ctx, other) for other in described.see_also[:room]]
    if described.id in ABOUT_AFTERWARDS and not ctx.form:
        choices.insert(0, ctx.do("button.checkins", "checkins"))
    if described.person and not ctx.form:
        choices.append(ctx.do("button.person", "handoff", reason="asked"))
    ctx.say_text(knowledge.answer(described.id, ctx.language), choices)
    if asked is not None and await learning.note(ctx, described.id, asked, offered):
        ctx.say("learning.ask", [ctx.do("button.keep_words", "keep_words", asked=asked), *choices][:3])
    if ctx.also is not None and ctx.also != described.id:
        others = [choice for choice in choices if choice.action.get("with") != {"topic": ctx.also}]
        ctx.say("answer.also", [_ask(ctx, ctx.also), *others][:3])


async def not_understood(ctx: Context, **_: Any) -> None:
    """Not understood: the three nearest topics; a second time in a row: a person."""
    ctx.misunderstood += 1
    ctx.topic = NOT_UNDERSTOOD
    if ctx.misunderstood >= 2:
        ctx.misunderstood = 0
        await handoff.ask(ctx, reason="not_understood")
        return
    nearest = [label for label, _ in ctx.understanding.ranking if label in knowledge.topics()][:3]
    suggestion = {"asked": ctx.inbox_id, "offered": nearest}
    choices = [_ask(ctx, topic, **suggestion) for topic in nearest] or ways_on(ctx)[:3]
    if nearest:
        choices.append(ctx.do("button.none_of_these", "none_of_these", **suggestion))
    ctx.say("not_understood.near" if nearest else "not_understood", choices)


async def none_of_these(ctx: Context, asked: int | None = None, offered: Sequence[str] = (), **_: Any) -> None:
    """None of the suggestions: once more in other words, or a person."""
    if asked is not None:
        await learning.note(ctx, learning.NONE, asked, offered)
    ctx.say("not_understood.rephrase", [ctx.do("button.person", "handoff", reason="not_understood")])


async def out_of_scope(ctx: Context, **_: Any) -> None:
    """Something the assistant is not for: say so, show what it is for."""
    ctx.say("out_of_scope", ways_on(ctx))


async def emergency(ctx: Context, **_: Any) -> None:
    """Emergency numbers: the country is asked, never guessed."""
    ctx.say(
        "emergency.which_country",
        [ctx.do(f"emergency.{code}", "emergency_numbers", country=code) for code in ("MA", "MR", "other")],
    )


async def emergency_numbers(ctx: Context, country: str, situation: str | None = None, **_: Any) -> None:
    """The confirmed numbers of that country; where none is confirmed, what to do instead."""
    lines = [
        i18n.say(f"emergency.service.{one['service']}", ctx.language, number=one["number"])
        for one in await numbers(ctx.session, country, situation)
    ]
    person = [ctx.do("button.person", "handoff", reason="asked")]
    if lines:
        ctx.say("emergency.numbers", person, numbers="\n".join(lines))
    else:
        ctx.say("emergency.unknown", person)


def _ask(ctx: Context, topic: str, **also: Any) -> Choice:
    return Choice(knowledge.title(topic, ctx.language), {"do": "answer", "with": {"topic": topic, **also}})


def _speak(code: str) -> Choice:
    return Choice(i18n.say("language.own_name", code), {"do": "set_language", "with": {"code": code}})  # type: ignore[arg-type]


def ways_on(ctx: Context) -> list[Choice]:
    """The ordinary menu."""
    return [
        *[_ask(ctx, topic) for topic in START_TOPICS[:2]],
        ctx.intend("button.return_request", "return_request"),
        ctx.do("button.interview_book", "book_interview"),
        ctx.do("button.person", "handoff", reason="asked"),
    ]
