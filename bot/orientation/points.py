"""Orientation points: places where somebody shows people the way to Rafiq, and the token on each one's poster.

A token is a random number of the point and a signature over it, in small letters and digits: it says nothing to
whoever reads it, cannot be made without this installation's key, and survives a keyboard that makes a letter big.
What a point brings is counted; the point itself never learns who came.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from sqlalchemy import BigInteger, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot import i18n
from bot.db.encryption import Vault
from bot.db.models import OrientationPoint, Scan
from bot.db.session import Database
from bot.messages import LANGUAGES, Incoming, Kind, Language

CODE = 5  # bytes: the point's random number
SIGNATURE = 10  # bytes
LENGTH = (CODE + SIGNATURE) * 8 // 5  # characters of a token: 24
# what may be a token, a forged one too, with the brackets that we put around it
_CANDIDATE = re.compile(r"\(?\b([A-Za-z0-9]{20,64})\b\)?")
OF_THE_TEAM = "staff-"  # how a code begins that links a chat of the team (bot/conversation/staff.py)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Scanned:
    """What an event says once the token is taken out of it."""

    kind: Kind
    text: str
    code: bytes | None  # of the point, when the signature is ours
    language: Language | None  # of the poster's greeting


def token(vault: Vault, code: bytes) -> str:
    """What stands in the QR codes of the point with this number."""
    return base64.b32encode(code + _signature(vault, code)).decode().lower()


def read(vault: Vault, given: str) -> bytes | None:
    """The number of the point whose token this is; None for what this installation did not sign."""
    try:
        whole = base64.b32decode(given.encode("ascii"), casefold=True)
    except ValueError:
        return None
    code, signature = whole[:CODE], whole[CODE:]
    return code if hmac.compare_digest(signature, _signature(vault, code)) else None


def _signature(vault: Vault, code: bytes) -> bytes:
    return vault.digest("orientation point", code.hex())[:SIGNATURE]


def greeting(vault: Vault, code: bytes, language: Language) -> str:
    """What WhatsApp writes for whoever scans: a greeting, and the token in brackets."""
    return f"{i18n.say('point.hello', language)} ({token(vault, code)})"


def scanned(vault: Vault, event: Incoming) -> Scanned:
    """The event without its token, so that nothing after this can show or store it.

    A deep link's payload is a token, a code that links a chat of the team, or nothing. A poster's greeting is the
    beginning of a conversation, whatever its token is worth; where more was written around a token of ours, that
    remains as what was said.
    """
    if event.kind is Kind.START:
        kept = event.text if event.text.startswith(OF_THE_TEAM) else ""
        return Scanned(Kind.START, kept, read(vault, event.text), None)
    if event.kind in (Kind.TEXT, Kind.EDITED):
        for match in _CANDIDATE.finditer(event.text):
            code = read(vault, match[1])
            rest = f"{event.text[: match.start()].rstrip()} {event.text[match.end() :].lstrip()}".strip()
            said = _plain(rest)
            if said in _greetings() or (code is not None and not said):
                kind = Kind.START if event.kind is Kind.TEXT else event.kind
                return Scanned(kind, "" if kind is Kind.START else rest, code, _greetings().get(said))
            if code is not None:
                return Scanned(event.kind, rest, code, None)
    return Scanned(event.kind, event.text, None, None)


@cache
def _greetings() -> dict[str, Language]:
    return {_plain(i18n.say("point.hello", language)): language for language in LANGUAGES}


def _plain(words: str) -> str:
    return " ".join(_WORD.findall(words.casefold()))


async def attribute(session: AsyncSession, code: bytes, conversation_id: int, person_id: int) -> None:
    """Note that this conversation came by this point, unless it came by another before or the point is revoked."""
    whose = (literal(number, BigInteger) for number in (conversation_id, person_id))
    point = select(OrientationPoint.id, *whose).where(
        OrientationPoint.code == code, OrientationPoint.revoked_at.is_(None)
    )
    await session.execute(
        insert(Scan)
        .from_select(["point_id", "conversation_id", "person_id"], point)
        .on_conflict_do_nothing(index_elements=[Scan.conversation_id])
    )


async def add(
    database: Database, name: str, city: str, languages: Sequence[Language], notes: str = ""
) -> OrientationPoint:
    """A new point."""
    point = OrientationPoint(
        code=secrets.token_bytes(CODE), name=name, city=city, languages=list(languages), notes=notes
    )
    async with database.session() as session:
        session.add(point)
        await session.commit()
    return point


async def known(database: Database) -> list[OrientationPoint]:
    """All points, the oldest first."""
    async with database.session() as session:
        return list(await session.scalars(select(OrientationPoint).order_by(OrientationPoint.id)))


async def find(database: Database, number: int) -> OrientationPoint | None:
    """The point of this number."""
    async with database.session() as session:
        return await session.get(OrientationPoint, number)


async def revoke(database: Database, number: int) -> bool:
    """From now on its posters begin a conversation like any other; False when there is no such active point."""
    async with database.session() as session:
        revoked = await session.scalar(
            update(OrientationPoint)
            .where(OrientationPoint.id == number, OrientationPoint.revoked_at.is_(None))
            .values(revoked_at=func.now())
            .returning(OrientationPoint.id)
        )
        await session.commit()
        return revoked is not None
