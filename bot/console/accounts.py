"""Who may sign in: passwords (argon2id) or a provider's word, six digits from an authenticator app (TOTP), sessions
that can be revoked."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from zxcvbn import zxcvbn

from bot.console import audit
from bot.conversation.handoffs import Desk
from bot.db.models import LoginAttempt, StaffLogin, StaffMember, StaffSession
from bot.db.session import Database
from bot.settings import Settings

SHORTEST, LONGEST = 12, 128  # characters of a password
LEAST_SCORE = 3  # of zxcvbn's four: more than a hundred million guesses
STEP = 30  # seconds that a code is shown
WINDOW = timedelta(minutes=15)  # in which failures count
MOST_FAILURES = 5  # for one e-mail address
MOST_FROM_ONE_PLACE = 30  # for one network address
KEPT = timedelta(days=30)  # attempts, and sessions that are over
RECENT = timedelta(minutes=10)  # how long the password and code just given stand for what is grave
SEEN = timedelta(seconds=30)  # a click sooner after the last is not written down
_hasher = PasswordHasher()
_HASH_OF_NOBODY = _hasher.hash(secrets.token_hex())  # unknown addresses take as long as known ones


class Refused(Exception):
    """No: wrong password or code, unknown, or no longer active. Which of them is nobody's business."""


class TooMany(Exception):
    """Too many failures: wait."""


class WeakPassword(Exception):
    """Too short, too long, made of the person's own name, or soon guessed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a session lives without a click, and at most."""

    idle: timedelta
    absolute: timedelta


@dataclass(frozen=True, slots=True)
class Staff:
    """Who is signed in, with which session."""

    id: uuid.UUID
    name: str
    role: str
    offices: Sequence[str]
    languages: Sequence[str]
    session_id: uuid.UUID
    verified_at: datetime
    places: Sequence[str]  # their offices and the countries of these

    @property
    def recently(self) -> bool:
        """Whether the password and code were given just now."""
        return datetime.now(UTC) - self.verified_at < RECENT


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody of the team of whom a provider vouched, and the digest of what it calls them."""

    staff_id: uuid.UUID
    subject: bytes


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a new member of the team puts into their authenticator app, shown once."""

    staff_id: uuid.UUID
    secret: str
    uri: str


def check_password(password: str, *, name: str, email: str) -> None:
    """Long enough, neither name nor address, and nothing that is guessed soon: the commonest passwords, rows of keys,
    one word twice. Raises `WeakPassword`."""
    words = {word.casefold() for word in (*name.split(), *email.replace("@", ".").split(".")) if len(word) > 3}
    rest = password.casefold()
    for word in words:
        rest = rest.replace(word, "")
    if not SHORTEST <= len(password) <= LONGEST or len(set(rest)) < 5:
        raise WeakPassword
    if zxcvbn(password[:72], sorted(words))["score"] < LEAST_SCORE:
        raise WeakPassword


async def enrol(database: Database, email: str, password: str) -> Enrolment | None:
    """A password and a secret for a member of the team, new ones for who had some; None for an unknown address.

    Their sessions end, a code for their chat is worth nothing any more, and who was stopped may sign in again.
    Raises `WeakPassword`.
    """
    vault, secret = database.vault, pyotp.random_base32()
    key = vault.new_key()
    async with database.session() as session:
        member = await session.scalar(select(StaffMember).where(StaffMember.email == email.strip().lower()))
        if member is None:
            return None
        check_password(password, name=member.name, email=member.email)
        login = {
            "password": await asyncio.to_thread(_hasher.hash, password),
            "key": key,
            "totp_sealed": vault.seal(key, secret),
            "totp_step": 0,
        }
        await session.execute(
            upsert(StaffLogin)
            .values(staff_id=member.id, **login)
            .on_conflict_do_update(index_elements=["staff_id"], set_=login)
        )
        member.active, member.link_digest, member.link_expires_at = True, None, None
        member.oidc_subject = None
        await _end_all(session, member.id)
        await audit.record(session, vault, None, "staff.enrolled", str(member.id), {"role": member.role})
        await session.commit()
    uri = pyotp.TOTP(secret).provisioning_uri(name=member.email, issuer_name="Rafiq")
    return Enrolment(member.id, secret, uri)


async def stop(database: Database, settings: Settings, email: str, by: uuid.UUID | None) -> bool:
    """This member of the team signs in no more, and is signed out now; False for an unknown address.

    Their chat is no longer the team's, and what they had goes back to the queue.
    """
    async with database.session() as session:
        staff_id = await session.scalar(select(StaffMember.id).where(StaffMember.email == email.strip().lower()))
        if staff_id is not None:
            await Desk(session, database.vault, settings, datetime.now(UTC)).dismiss(staff_id)
            await _end_all(session, staff_id)
            await audit.record(session, database.vault, by, "staff.stopped", str(staff_id))
            await session.commit()
    return staff_id is not None


async def sign_in(
    database: Database, *, email: str, password: str, code: str, place: str, replaces: str | None = None
) -> str:
    """A new session's token for who knows the password and the code. Raises `Refused`, `TooMany`.

    `place` is the network address, `replaces` the session that the browser had: it ends, whoever's it was.
    """
    vault = database.vault
    email = email.strip().lower()
    by_email, by_place = vault.digest("login", email), vault.digest("login place", place)
    await _try(database, by_email, by_place)
    async with database.session() as session:
        login = await session.scalar(
            select(StaffLogin)
            .join(StaffMember, StaffLogin.staff_id == StaffMember.id)
            .where(StaffMember.email == email, StaffMember.active)
        )
    right = await _is_password(login, password)  # no connection is held meanwhile
    step = _step_of(vault.open(login.key, login.totp_sealed), code) if login is not None else None
    async with database.session() as session:
        if login is None or not right or step is None or not await _use(session, login, step):
            who = login.staff_id if login else None
            await audit.record(session, vault, who, "login.refused")
            await session.commit()
            raise Refused
        await session.execute(delete(LoginAttempt).where(LoginAttempt.email == by_email))
        token = await _begin(database, session, login.staff_id, replaces)
        await audit.record(session, vault, login.staff_id, "login")
        await session.commit()
    return token


async def bind(database: Database, email: str, issuer: str, subject: str) -> bool:
    """Whom the provider calls this is this member of the team: where it vouches for no address. False when there is no
    such member, or when somebody else is called so."""
    digest = database.vault.digest("oidc", issuer, subject)
    async with database.session() as session:
        others = select(StaffMember.id).where(StaffMember.oidc_subject == digest).correlate(None)
        bound = await session.scalar(
            update(StaffMember)
            .where(StaffMember.email == email.strip().lower(), ~others.exists())
            .values(oidc_subject=digest)
            .returning(StaffMember.id)
        )
        if bound is not None:
            await audit.record(session, database.vault, None, "staff.bound", str(bound))
            await session.commit()
    return bound is not None


async def who(database: Database, issuer: str, subject: str, email: str | None, attempt: str) -> Known:
    """Who of the team this is, of whom an OpenID Connect provider vouches: who signed in as that subject before; else
    the owner of that address, of which the provider says that it is verified. Raises `Refused`.

    Nobody is added by it, and whoever signed in as one subject is no other one. `attempt`: see `try_provider`.
    """
    vault = database.vault
    digest = vault.digest("oidc", issuer, subject)
    async with database.session() as session:
        member = await session.scalar(select(StaffMember).where(StaffMember.oidc_subject == digest))
        if member is None and email is not None:
            address = email.strip()
            address = address.lower() if address.isascii() else address  # « K » of Kelvin would become a k
            member = await session.scalar(select(StaffMember).where(StaffMember.email == address))
        if member is None or not member.active or member.oidc_subject not in (None, digest):
            await audit.record(session, vault, member.id if member else None, "login.refused", "", {"by": "provider"})
            await session.commit()
            raise Refused
        await session.execute(delete(LoginAttempt).where(LoginAttempt.email == vault.digest("login provider", attempt)))
        await session.commit()
    return Known(member.id, digest)


async def try_provider(database: Database, place: str, attempt: str) -> None:
    """Count an answer that a browser brings from the provider as a failure of this place until `who` takes it back.
    Raises `TooMany`."""
    vault = database.vault
    await _try(database, vault.digest("login provider", attempt), vault.digest("login place", place))


async def sign_in_known(
    database: Database,
    known: Known,
    *,
    code: str | None,
    place: str,
    proved_at: datetime | None,
    replaces: str | None = None,
) -> str:
    """A new session's token for whom the provider knows; with `code`, our own second factor is asked for besides.

    `proved_at` is when they last gave the provider their password: it stands for ours where that is asked for again.
    Raises `Refused`, `TooMany`.
    """
    vault = database.vault
    async with database.session() as session:
        login = await session.get(StaffLogin, known.staff_id)
        email = await session.scalar(select(StaffMember.email).where(StaffMember.id == known.staff_id))
    by_email = vault.digest("login", email or "")
    step = None
    if code is not None:
        await _try(database, by_email, vault.digest("login place", place))
        step = _step_of(vault.open(login.key, login.totp_sealed), code) if login is not None else None
    async with database.session() as session:
        right = code is None or (login is not None and step is not None and await _use(session, login, step))
        bound = right and await session.scalar(
            update(StaffMember)
            .where(StaffMember.id == known.staff_id, StaffMember.active)
            .where(StaffMember.oidc_subject.is_(None) | (StaffMember.oidc_subject == known.subject))
            .values(oidc_subject=known.subject)
            .returning(StaffMember.id)
        )
        if not bound:
            await session.rollback()
            await audit.record(session, vault, known.staff_id, "login.refused", "", {"by": "provider"})
            await session.commit()
            raise Refused
        if code is not None:
            await session.execute(delete(LoginAttempt).where(LoginAttempt.email == by_email))
        token = await _begin(database, session, known.staff_id, replaces, proved_at or datetime.fromtimestamp(0, UTC))
        await audit.record(session, vault, known.staff_id, "login", "", {"by": "provider"})
        await session.commit()
    return token


async def _begin(
    database: Database,
    session: AsyncSession,
    staff_id: uuid.UUID,
    replaces: str | None,
    verified_at: datetime | None = None,
) -> str:
    """A session's token; the one that the browser had is over."""
    if replaces is not None:
        await session.execute(
            update(StaffSession).where(StaffSession.digest == _digest(database, replaces)).values(ended_at=func.now())
        )
    await session.execute(delete(StaffSession).where(StaffSession.created_at < func.now() - KEPT))
    await session.execute(delete(LoginAttempt).where(LoginAttempt.at < func.now() - KEPT))
    token = secrets.token_urlsafe(32)
    own = {"verified_at": verified_at} if verified_at is not None else {}
    await session.execute(insert(StaffSession).values(staff_id=staff_id, digest=_digest(database, token), **own))
    return token


async def verify_again(database: Database, staff: Staff, *, password: str, code: str) -> str:
    """The one who is signed in shows again that it is they; the session's new token. Raises `Refused`, `TooMany`."""
    vault = database.vault
    by_email = vault.digest("login again", str(staff.id))
    await _try(database, by_email, by_email)
    async with database.session() as session:
        login = await session.get_one(StaffLogin, staff.id)
    right = await _is_password(login, password)
    step = _step_of(vault.open(login.key, login.totp_sealed), code)
    async with database.session() as session:
        if not right or step is None or not await _use(session, login, step):
            await audit.record(session, vault, staff.id, "login.refused")
            await session.commit()
            raise Refused
        await session.execute(delete(LoginAttempt).where(LoginAttempt.email == by_email))
        token = secrets.token_urlsafe(32)
        await session.execute(
            update(StaffSession)
            .where(StaffSession.id == staff.session_id)
            .values(verified_at=func.now(), digest=_digest(database, token))
        )
        await session.commit()
    return token


async def change_password(database: Database, staff: Staff, new: str) -> None:
    """Another password; every other session ends. Raises `WeakPassword`."""
    async with database.session() as session:
        member = await session.get_one(StaffMember, staff.id)
        check_password(new, name=member.name, email=member.email)
        await session.execute(
            update(StaffLogin)
            .where(StaffLogin.staff_id == staff.id)
            .values(password=await asyncio.to_thread(_hasher.hash, new))
        )
        await _end_all(session, staff.id, but=staff.session_id)
        await audit.record(session, database.vault, staff.id, "password.changed", str(staff.id))
        await session.commit()


async def find(database: Database, token: str, limits: Limits, *, quietly: bool = False) -> Staff | None:
    """Who this session's token belongs to, while it lives. `quietly`: the page asked by itself, nobody clicked."""
    async with database.looking() as session:
        row = (
            await session.execute(
                select(StaffMember, StaffSession, StaffSession.seen_at < func.now() - SEEN)
                .join(StaffSession, StaffSession.staff_id == StaffMember.id)
                .where(StaffSession.digest == _digest(database, token), StaffSession.ended_at.is_(None))
                .where(StaffSession.seen_at > func.now() - limits.idle)
                .where(StaffSession.created_at > func.now() - limits.absolute)
                .where(StaffMember.active)
            )
        ).first()
        if row is None:
            return None
        member, own, stale = row
        if stale and not quietly:
            await session.execute(update(StaffSession).where(StaffSession.id == own.id).values(seen_at=func.now()))
    return Staff(
        member.id, member.name, member.role, member.offices, member.languages, own.id, own.verified_at, member.places
    )


async def sessions(database: Database, staff_id: uuid.UUID, limits: Limits) -> list[StaffSession]:
    """Their sessions that live, the newest first."""
    async with database.session() as session:
        found = await session.scalars(
            select(StaffSession)
            .where(StaffSession.staff_id == staff_id, StaffSession.ended_at.is_(None))
            .where(StaffSession.seen_at > func.now() - limits.idle)
            .where(StaffSession.created_at > func.now() - limits.absolute)
            .order_by(StaffSession.created_at.desc())
        )
        return list(found)


async def end(database: Database, staff: Staff, session_id: uuid.UUID) -> bool:
    """End one of one's own sessions; False when it is not theirs."""
    async with database.session() as session:
        ended = await session.scalar(
            update(StaffSession)
            .where(StaffSession.id == session_id, StaffSession.staff_id == staff.id, StaffSession.ended_at.is_(None))
            .values(ended_at=func.now())
            .returning(StaffSession.id)
        )
        if ended is not None:
            await audit.record(session, database.vault, staff.id, "logout", str(session_id))
            await session.commit()
    return ended is not None


def form_token(database: Database, token: str) -> str:
    """What every form of this session carries, so that no other site can send one."""
    return database.vault.digest("console form", token).hex()


async def _try(database: Database, by_email: bytes, by_place: bytes) -> None:
    """Count this attempt as a failure, before anything is looked at: of many at once no more get through than one by
    one. Whoever proves right takes it back. Raises `TooMany`."""
    async with database.session() as session:
        attempt = await session.scalar(
            insert(LoginAttempt).values(email=by_email, place=by_place).returning(LoginAttempt.id)
        )
        await session.commit()
        recent = LoginAttempt.at > func.now() - WINDOW
        of_email = await session.scalar(select(func.count()).where(LoginAttempt.email == by_email, recent))
        of_place = await session.scalar(select(func.count()).where(LoginAttempt.place == by_place, recent))
        if (of_email or 0) > MOST_FAILURES or (of_place or 0) > MOST_FROM_ONE_PLACE:
            await session.execute(delete(LoginAttempt).where(LoginAttempt.id == attempt))  # it was not looked at
            await session.commit()
            raise TooMany


async def _is_password(login: StaffLogin | None, password: str) -> bool:
    given = password[: LONGEST + 1]
    try:
        await asyncio.to_thread(_hasher.verify, login.password if login else _HASH_OF_NOBODY, given)
    except (VerificationError, InvalidHashError):
        return False
    return login is not None


def _step_of(secret: str, code: str) -> int | None:
    """Which half minute this code is of: this one or a neighbour, for clocks that differ."""
    code = code.replace(" ", "")
    now = int(datetime.now(UTC).timestamp())
    found = None
    for moment in (now - STEP, now, now + STEP):
        if secrets.compare_digest(pyotp.TOTP(secret).at(moment).encode(), code.encode()):
            found = moment // STEP
    return found


async def _use(session: AsyncSession, login: StaffLogin, step: int) -> bool:
    """A code counts once, and only while the password that was looked at is still the right one."""
    used = await session.scalar(
        update(StaffLogin)
        .where(StaffLogin.staff_id == login.staff_id, StaffLogin.totp_step < step)
        .where(StaffLogin.password == login.password)
        .values(totp_step=step)
        .returning(StaffLogin.staff_id)
    )
    return used is not None


async def _end_all(session: AsyncSession, staff_id: uuid.UUID, but: uuid.UUID | None = None) -> None:
    others = update(StaffSession).where(StaffSession.staff_id == staff_id, StaffSession.ended_at.is_(None))
    await session.execute((others.where(StaffSession.id != but) if but else others).values(ended_at=func.now()))


def _digest(database: Database, token: str) -> bytes:
    return database.vault.digest("console session", token)
