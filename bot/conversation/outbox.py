"""What the assistant says is written down with the turn that decided it, and sent from there."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import LargeBinary, bindparam, select, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.encryption import Vault
from bot.db.models import Address, Conversation, Outbox, Person
from bot.journeys.context import Context, Saying
from bot.messages import Language

BUBBLE = 1024  # characters: what fits one message with buttons on every channel
BUTTON_LIFE = timedelta(days=7)


# one message with its buttons; what this conversation's expired buttons were goes in passing
_WRITE = text("""
    WITH expired AS (
        DELETE FROM issued_button WHERE conversation_id = :conversation AND expires_at < now()
    ), said AS (
        INSERT INTO outbox (conversation_id, inbox_id, seq, content_sealed)
        SELECT :conversation, :inbox, coalesce(max(seq), 0) + 1, :content FROM outbox WHERE inbox_id = :inbox
        RETURNING id
    )
    INSERT INTO issued_button (id, conversation_id, outbox_id, position, title, action, expires_at)
    SELECT button.id, :conversation, said.id, button.position, button.title, button.action, :expires_at
    FROM said, jsonb_to_recordset(:buttons) AS button (id text, position smallint, title text, action jsonb)
""").bindparams(bindparam("buttons", type_=JSONB), bindparam("content", type_=LargeBinary))


async def write(ctx: Context, inbox_id: int) -> None:
    """Put the turn's sayings into the outbox, as few messages as fit, with their buttons issued."""
    for saying in together(ctx.sayings):
        buttons = [(secrets.token_urlsafe(9), choice) for choice in saying.choices]
        content = {
            "text": saying.text,
            "buttons": [[button_id, choice.title] for button_id, choice in buttons],
            "language": ctx.language,
        }
        await ctx.session.execute(
            _WRITE,
            {
                "conversation": ctx.conversation_id,
                "inbox": inbox_id,
                "content": ctx.vault.seal(ctx.person_key, content),
                "expires_at": ctx.now + BUTTON_LIFE,
                "buttons": [
                    {"id": button_id, "position": position, "title": choice.title, "action": dict(choice.action)}
                    for position, (button_id, choice) in enumerate(buttons, 1)
                ],
            },
        )


async def unasked(
    session: AsyncSession, vault: Vault, conversation_id: int, words: str, language: Language
) -> int | None:
    """Queue a message that the person did not ask for; None when they want none or cannot be reached."""
    key = await session.scalar(
        select(Person.key)
        .join(Conversation, Conversation.person_id == Person.id)
        .join(Address, Address.id == Conversation.address_id)
        .where(Conversation.id == conversation_id, Person.stopped_at.is_(None), Address.unreachable_at.is_(None))
    )
    if key is None:
        return None
    content = {"text": words, "buttons": [], "language": language}
    return await session.scalar(
        insert(Outbox)
        .values(conversation_id=conversation_id, seq=1, content_sealed=vault.seal(key, content))
        .returning(Outbox.id)
    )


def together(sayings: Sequence[Saying]) -> list[Saying]:
    """Join paragraphs into one bubble where they fit; the last one's buttons win over the earlier ones'."""
    joined: list[Saying] = []
    for saying in sayings:
        if joined and len(joined[-1].text) + 2 + len(saying.text) <= BUBBLE:
            before = joined[-1]
            joined[-1] = Saying(before.text + "\n\n" + saying.text, saying.choices or before.choices)
        else:
            joined.append(Saying(saying.text, list(saying.choices)))
    for earlier in joined[:-1]:
        if joined[-1].choices:
            earlier.choices = []
    return joined
