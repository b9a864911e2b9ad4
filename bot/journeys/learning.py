"""What a person meant by a message that was not understood: an example for the training data, if they agree."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from bot.db.models import Consent, Inbox, Person, Suggestion
from bot.db.session import Database
from bot.journeys.context import Context

PURPOSE = "learning"
CONSENT_VERSION = "1"
NONE = "none_of_these"


async def note(ctx: Context, label: str, asked: int, offered: Sequence[str]) -> bool:
    """Note which suggestion was meant by message `asked`. True when the person may be asked for its text."""
    words = await ctx.session.scalar(
        select(Inbox.content_sealed).where(Inbox.id == asked, Inbox.conversation_id == ctx.conversation_id)
    )
    if words is None:
        return False
    agreed = await ctx.session.scalar(
        select(Consent.id)
        .where(Consent.person_id == ctx.person_id, Consent.purpose == PURPOSE, Consent.withdrawn_at.is_(None))
        .limit(1)
    )
    asked_before = await ctx.session.scalar(select(Suggestion.id).where(Suggestion.person_id == ctx.person_id).limit(1))
    noted = await ctx.session.scalar(
        insert(Suggestion)
        .values(
            person_id=ctx.person_id,
            inbox_id=asked,
            language=ctx.language,
            label=label,
            offered=list(offered),
            text_sealed=_text_of(ctx, words) if agreed else None,
        )
        .on_conflict_do_nothing()
        .returning(Suggestion.id)
    )
    return noted is not None and agreed is None and asked_before is None


async def keep_words(ctx: Context, asked: int, **_: Any) -> None:
    """The person agrees: this message's text is kept for learning, and those of later suggestions."""
    words = await ctx.session.scalar(
        select(Inbox.content_sealed).where(Inbox.id == asked, Inbox.conversation_id == ctx.conversation_id)
    )
    await ctx.session.execute(
        insert(Consent).values(person_id=ctx.person_id, purpose=PURPOSE, version=CONSENT_VERSION, channel=ctx.channel)
    )
    if words is not None:
        await ctx.session.execute(
            update(Suggestion)
            .where(Suggestion.inbox_id == asked, Suggestion.person_id == ctx.person_id)
            .values(text_sealed=_text_of(ctx, words))
        )
    ctx.say("learning.kept", [ctx.do("button.help", "help")])


def _text_of(ctx: Context, sealed: bytes) -> bytes:
    return ctx.vault.seal(ctx.person_key, {"text": ctx.vault.open(ctx.person_key, sealed).get("text", "")})


async def export(database: Database) -> AsyncIterator[dict[str, Any]]:
    """The examples whose writers agreed, the oldest first, for a reviewer to correct and add to nlu/."""
    async with database.session() as session:
        rows = await session.execute(
            select(Suggestion, Person.key)
            .join(Person, Person.id == Suggestion.person_id)
            .where(Suggestion.text_sealed.is_not(None))
            .order_by(Suggestion.id)
        )
        for one, key in rows:
            yield {
                "text": database.vault.open(key, one.text_sealed or b"")["text"],
                "label": one.label,
                "language": one.language,
                "offered": one.offered,
                "at": one.created_at.isoformat(),
            }
