"""What the assistant says is written down with the turn that decided it, and sent from there."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Boolean, LargeBinary, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot import i18n
from bot.conversation import knowing
from bot.db.encryption import Vault
from bot.db.models import Address, Conversation, IssuedButton, Outbox, Person
from bot.journeys.context import Choice, Context, Saying
from bot.messages import WAITING, Document, Language, Template

BUBBLE = 1024  # characters: what fits one message with buttons on every channel
LONG_BUBBLE = 4096  # and one without
BUTTON_LIFE = timedelta(days=7)
ANNOUNCED_LIFE = timedelta(days=30)  # of those under a message that may wait for the person to write


# The parts of a statement that write messages with their buttons into the conversation that the part `thread` names, if
# it names any; what the conversation's expired buttons were goes in passing. Their values: `written`.
SAID = """
    expired AS (
        DELETE FROM issued_button USING thread WHERE conversation_id = thread.id AND expires_at < now()
    ), before AS (
        SELECT coalesce(max(seq), 0) AS seq FROM outbox WHERE inbox_id = :inbox
    ), said AS (
        INSERT INTO outbox (conversation_id, inbox_id, seq, content_sealed, sensitive, status, error)
        SELECT thread.id, :inbox, before.seq + number, content, sensitive,
            CASE WHEN held THEN 'held' ELSE 'queued' END, CASE WHEN held THEN 'identity' END
        FROM thread, before, unnest(:contents, :sensitive, :held) WITH ORDINALITY
            AS saying (content, sensitive, held, number)
        ORDER BY number
        RETURNING id, seq
    ), issued AS (
        INSERT INTO issued_button (id, conversation_id, outbox_id, position, title, action, expires_at)
        SELECT button.id, thread.id, said.id, button.position, button.title, button.action, :expires_at
        FROM thread, before, said
        JOIN jsonb_to_recordset(:buttons)
            AS button (number smallint, id text, position smallint, title text, action jsonb) ON true
        WHERE said.seq = before.seq + button.number
    )
"""
SAID_TYPES = (
    bindparam("inbox", type_=BigInteger),
    bindparam("contents", type_=ARRAY(LargeBinary)),
    bindparam("sensitive", type_=ARRAY(Boolean)),
    bindparam("held", type_=ARRAY(Boolean)),
    bindparam("buttons", type_=JSONB),
)
_WRITE = text(
    f"WITH thread AS (SELECT cast(:conversation AS bigint) AS id), {SAID} SELECT count(*) FROM said"  # noqa: S608
).bindparams(*SAID_TYPES)


async def write(ctx: Context, inbox_id: int | None) -> None:
    """Put the turn's sayings into the outbox, as few messages as fit, with their buttons issued."""
    await ctx.session.execute(_WRITE, {"conversation": ctx.conversation_id, **await written(ctx, inbox_id)})


async def written(ctx: Context, inbox_id: int | None) -> dict[str, Any]:
    """The turn's sayings as the values of `SAID`."""
    sayings = together(ctx.sayings)
    whose = (ctx.conversation_id, ctx.person_id)
    doubted = any(saying.sensitive for saying in sayings) and await knowing.doubted(ctx.session, *whose)
    if doubted:
        ctx.say("identity.held", [ctx.do("button.person", "handoff", reason="asked")])
        sayings.append(ctx.sayings[-1])
    contents, issued = [], []
    for number, saying in enumerate(sayings, 1):
        buttons = [(secrets.token_urlsafe(9), choice) for choice in saying.choices]
        content = {
            "text": saying.text,
            "buttons": [[button_id, choice.title] for button_id, choice in buttons],
            "language": ctx.language,
            **_attached(saying.document),
        }
        contents.append(ctx.vault.seal(ctx.person_key, content))
        issued += [
            {
                "number": number,
                "id": button_id,
                "position": position,
                "title": choice.title,
                "action": dict(choice.action),
            }
            for position, (button_id, choice) in enumerate(buttons, 1)
        ]
    return {
        "inbox": inbox_id,
        "contents": contents,
        "sensitive": [saying.sensitive for saying in sayings],
        "held": [bool(doubted and saying.sensitive) for saying in sayings],
        "expires_at": ctx.now + BUTTON_LIFE,
        "buttons": issued,
    }


async def wanted(session: AsyncSession, conversation_id: int) -> bytes | None:
    """The key to write an unasked message with; None when the person wants none or cannot be reached."""
    key: bytes | None = await session.scalar(
        select(Person.key)
        .join(Conversation, Conversation.person_id == Person.id)
        .join(Address, Address.id == Conversation.address_id)
        .where(Conversation.id == conversation_id, Person.stopped_at.is_(None), Address.unreachable_at.is_(None))
    )
    return key


async def unasked(
    session: AsyncSession,
    vault: Vault,
    conversation_id: int,
    words: str,
    language: Language,
    *,
    templates: Sequence[Template] = (),
    choices: Sequence[Choice] = (),
    announced: bool = False,
    document: Document | None = None,
    sensitive: bool = True,
    expires_at: datetime | None = None,
) -> int | None:
    """Queue a message that the person did not ask for: a check-in, a reminder, a word of a counsellor.

    It gives way to replies, ends with STOP, is worth nothing after `expires_at`, and goes as the first of `templates`
    that the platform has approved where free text may not. `announced`: there, a neutral word says that something
    waits (`announce`), and the message itself goes when the person answers. None when the person wants none or
    cannot be reached.
    """
    key = await wanted(session, conversation_id)
    if key is None:
        return None
    buttons = [(secrets.token_urlsafe(9), choice) for choice in choices]
    content = {
        "text": words,
        "buttons": [[button_id, choice.title] for button_id, choice in buttons],
        "language": language,
        "templates": [[template.name, list(template.values), template.seconds] for template in templates],
        "announced": announced,
        **_attached(document),
    }
    outbox_id: int | None = await session.scalar(
        insert(Outbox)
        .values(
            conversation_id=conversation_id,
            seq=1,
            unasked=True,
            sensitive=sensitive,
            expires_at=expires_at,
            content_sealed=vault.seal(key, content),
        )
        .returning(Outbox.id)
    )
    if buttons:
        await session.execute(
            insert(IssuedButton).values(
                [
                    {
                        "id": button_id,
                        "conversation_id": conversation_id,
                        "outbox_id": outbox_id,
                        "position": position,
                        "title": choice.title,
                        "action": dict(choice.action),
                        "expires_at": func.now() + (ANNOUNCED_LIFE if announced else BUTTON_LIFE),
                    }
                    for position, (button_id, choice) in enumerate(buttons, 1)
                ]
            )
        )
    return outbox_id


def _attached(document: Document | None) -> dict[str, list[str]]:
    return {} if document is None else {"document": [document.name, document.media_type, document.content]}


async def announce(session: AsyncSession, vault: Vault, letter: Any, language: Language) -> None:
    """Queue « you have a reply » for what is held, once while the person is silent."""
    heard = letter.last_heard_at or datetime.min.replace(tzinfo=UTC)
    told = await session.scalar(
        select(Outbox.id)
        .where(Outbox.conversation_id == letter.conversation_id, Outbox.announces, Outbox.created_at > heard)
        .where(Outbox.status.not_in(["failed", "cancelled"]))
        .limit(1)
    )
    if told is None:
        templates = [[one.name, list(one.values), one.seconds] for one in WAITING]
        content = {"text": "", "buttons": [], "language": language, "templates": templates}
        await session.execute(
            insert(Outbox).values(
                conversation_id=letter.conversation_id,
                seq=1,
                unasked=True,
                announces=True,
                expires_at=letter.expires_at,
                content_sealed=vault.seal(letter.key, content),
            )
        )


async def who_reads(session: AsyncSession, vault: Vault, letter: Any, content: Mapping[str, Any]) -> bool:
    """Whether it has to be known first who reads this, which waited through a long silence; they are asked once."""
    if not await knowing.doubted(session, letter.conversation_id, letter.person_id):
        await session.commit()
        return False
    asked = await session.scalar(
        select(Outbox.id)
        .where(Outbox.conversation_id == letter.conversation_id, Outbox.status == "held", Outbox.error == "identity")
        .limit(1)
    )
    if asked is None:
        language: Language = content["language"]
        person = Choice(i18n.say("button.person", language), {"do": "handoff", "with": {"reason": "asked"}})
        words = i18n.say("identity.held", language)
        await unasked(session, vault, letter.conversation_id, words, language, choices=[person], sensitive=False)
    return True


def together(sayings: Sequence[Saying]) -> list[Saying]:
    """Join paragraphs into one bubble where they fit; the last one's buttons win over the earlier ones'."""
    joined: list[Saying] = []
    for saying in sayings:
        if joined:
            before = joined[-1]
            choices = saying.choices or before.choices
            words = before.text + "\n\n" + saying.text
            alone = saying.document is not None or before.document is not None
            if not alone and len(words) <= (BUBBLE if choices else LONG_BUBBLE):
                joined[-1] = Saying(words, choices, before.sensitive or saying.sensitive)
                continue
        joined.append(Saying(saying.text, list(saying.choices), saying.sensitive, saying.document))
    for earlier in joined[:-1]:
        if joined[-1].choices:
            earlier.choices = []
    return joined
