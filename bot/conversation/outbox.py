"""What the assistant says is written down with the turn that decided it, and sent from there."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.encryption import Vault
from bot.db.models import Address, Conversation, IssuedButton, Outbox, Person
from bot.journeys.context import Context, Saying
from bot.messages import Language

BUBBLE = 1024  # characters: what fits one message with buttons on every channel
BUTTON_LIFE = timedelta(days=7)


async def write(ctx: Context, inbox_id: int) -> None:
    """Put the turn's sayings into the outbox, as few messages as fit, with their buttons issued."""
    await ctx.session.execute(
        delete(IssuedButton).where(
            IssuedButton.conversation_id == ctx.conversation_id, IssuedButton.expires_at < func.now()
        )
    )
    said_before = select(func.coalesce(func.max(Outbox.seq), 0)).where(Outbox.inbox_id == inbox_id)
    first = int(await ctx.session.scalar(said_before) or 0) + 1  # a notice may have been said to this event
    for seq, saying in enumerate(together(ctx.sayings), first):
        buttons = [(secrets.token_urlsafe(9), choice) for choice in saying.choices]
        outbox_id = await ctx.session.scalar(
            insert(Outbox)
            .values(
                conversation_id=ctx.conversation_id,
                inbox_id=inbox_id,
                seq=seq,
                content_sealed=ctx.vault.seal(
                    ctx.person_key,
                    {
                        "text": saying.text,
                        "buttons": [[button_id, choice.title] for button_id, choice in buttons],
                        "language": ctx.language,
                    },
                ),
            )
            .returning(Outbox.id)
        )
        if buttons:
            await ctx.session.execute(
                insert(IssuedButton),
                [
                    {
                        "id": button_id,
                        "conversation_id": ctx.conversation_id,
                        "outbox_id": outbox_id,
                        "position": position,
                        "title": choice.title,
                        "action": dict(choice.action),
                        "expires_at": ctx.now + BUTTON_LIFE,
                    }
                    for position, (button_id, choice) in enumerate(buttons, 1)
                ],
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
