"""What a person meant by a message that was not understood: an example for the training data, if they agree."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from bot.db.models import Consent, Inbox, Person, Suggestion
from bot.db.session import Database
from bot.journeys.context import Context

PURPOSE = "learning"
CONSENT_VERSION = "1"
NONE = "none_of_these"
INTENTS = (  # of nlu/*/intents.yml: what a message can mean that asks no question; yes and no answer one of ours
    "talk_to_human", "return_request", "request_status", "book_interview", "reschedule_interview", "cancel_interview",
    "interview_status", "complaint", "no_followup", "stop", "resume", "my_data", "delete_my_data", "change_language",
    "help_menu", "greet", "thanks", "goodbye",
)  # fmt: skip
UNUSABLE = "unusable"  # what a reviewer says of a message that teaches nothing


async def note(ctx: Context, label: str, asked: int, offered: Sequence[str]) -> bool:
    """Note which suggestion was meant by message `asked`. True when the person may be asked for its words.

    Who once did not agree is not asked again.
    """
    if await _words(ctx, asked) is None:
        return False
    declined = await ctx.session.scalar(
        select(Suggestion.id)
        .where(Suggestion.person_id == ctx.person_id, Suggestion.text_sealed.is_(None))
        .where(Suggestion.label != NONE)  # there nobody asks
        .limit(1)
    )
    noted = await ctx.session.scalar(
        insert(Suggestion)
        .values(person_id=ctx.person_id, inbox_id=asked, language=ctx.language, label=label, offered=list(offered))
        .on_conflict_do_nothing()
        .returning(Suggestion.id)
    )
    return noted is not None and declined is None


async def keep_words(ctx: Context, asked: int, **_: Any) -> None:
    """The person agrees that the words of this one message are kept for learning."""
    words = await _words(ctx, asked)
    kept = None
    if words is not None:
        kept = await ctx.session.scalar(
            update(Suggestion)
            .where(Suggestion.inbox_id == asked, Suggestion.person_id == ctx.person_id)
            .where(Suggestion.text_sealed.is_(None))
            .values(text_sealed=ctx.vault.seal(ctx.person_key, {"text": words}))
            .returning(Suggestion.id)
        )
    if kept is None:  # erased or taken back since, or pressed twice
        ctx.say("button.stale", [ctx.do("button.help", "help")])
        return
    await ctx.session.execute(
        insert(Consent).values(person_id=ctx.person_id, purpose=PURPOSE, version=CONSENT_VERSION, channel=ctx.channel)
    )
    ctx.say("learning.kept", [ctx.do("button.help", "help")])


async def _words(ctx: Context, asked: int) -> str | None:
    """What the person wrote in this message, if it is theirs and still there."""
    sealed = await ctx.session.scalar(
        select(Inbox.content_sealed).where(Inbox.id == asked, Inbox.conversation_id == ctx.conversation_id)
    )
    return str(ctx.vault.open(ctx.person_key, sealed).get("text", "")) if sealed is not None else None


@dataclass(frozen=True, slots=True)
class Example:
    """A message to be reviewed."""

    id: int
    text: str
    language: str
    label: str
    offered: Sequence[str]


async def to_review(database: Database, most: int = 50) -> list[Example]:
    """Messages whose writers agreed and that nobody has reviewed, the oldest first."""
    async with database.session() as session:
        rows = await session.execute(
            select(Suggestion, Person.key)
            .join(Person, Person.id == Suggestion.person_id)
            .where(Suggestion.text_sealed.is_not(None), Suggestion.right_label.is_(None))
            .order_by(Suggestion.id)
            .limit(most)
        )
        return [
            Example(
                one.id, database.vault.open(key, one.text_sealed or b"")["text"], one.language, one.label, one.offered
            )
            for one, key in rows
        ]


async def reviewed(database: Database, suggestion_id: int, right_label: str) -> bool:
    """A reviewer says what it meant; False for a message that is not there (any more) or not to be read."""
    async with database.session() as session:
        found = await session.scalar(
            update(Suggestion)
            .where(Suggestion.id == suggestion_id, Suggestion.text_sealed.is_not(None))
            .values(right_label=right_label)
            .returning(Suggestion.id)
        )
        await session.commit()
    return found is not None


async def export(database: Database) -> AsyncIterator[dict[str, Any]]:
    """The examples whose writers agreed, the oldest first, to be added to nlu/; a reviewer's label counts."""
    async with database.session() as session:
        rows = await session.execute(
            select(Suggestion, Person.key)
            .join(Person, Person.id == Suggestion.person_id)
            .where(Suggestion.text_sealed.is_not(None), func.coalesce(Suggestion.right_label, "") != UNUSABLE)
            .order_by(Suggestion.id)
        )
        for one, key in rows:
            yield {
                "text": database.vault.open(key, one.text_sealed or b"")["text"],
                "label": one.right_label or one.label,
                "reviewed": one.right_label is not None,
                "language": one.language,
                "offered": one.offered,
                "at": one.created_at.isoformat(),
            }
