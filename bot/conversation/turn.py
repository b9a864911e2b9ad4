"""One turn: a thing that happened to a conversation, what it means, what is done and said, in one transaction.

Turns of one conversation run one at a time and in order: whoever works on it holds its lock, and the lock's
own connection carries the transaction. A turn that dies leaves nothing behind and is taken again.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import DateTime, Text, Uuid, bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from bot import faults, i18n, metrics
from bot.assistant import forms, knowledge, language, questions, values
from bot.assistant.commands import command
from bot.assistant.rasa import Decision, Rasa, RasaDown
from bot.assistant.triage import Cue, Triage
from bot.assistant.values import numerals
from bot.conversation import guards, inbox, knowing, media, outbox, people, staff
from bot.db.models import Alert, Appointment, Checkin, Conversation, Inbox, Person
from bot.db.session import TRY_LOCK, Database, Lane, conclude, together, wake, wake_up_call
from bot.journeys import VERBS, checkins, corrections, first_contact, interviews, rights, safe_word, safety
from bot.journeys.context import Choice, Context
from bot.messages import OPENS, Kind, Language
from bot.orientation import points
from bot.settings import Settings
from nlu.encoder import encode
from nlu.normalise import meant, normalise, visible, without_accents

log = structlog.get_logger()

ATTEMPTS = 3  # then the message is set aside
TRUSTED = timedelta(hours=1)  # so long a connection that breaks in its turn is not held against it
READ_OF_A_FLOOD = 20  # messages of a flood that are read by meaning too; the others by their strong words alone
ROTATE_AFTER = 20  # turns in one of Rasa's conversations, when no form is open
SKEW = timedelta(minutes=1)  # that a platform's clock and ours may differ, and more
TOO_OLD = timedelta(minutes=15)  # a message that waited longer for Rasa is closed, not answered late
BUTTON_LIFE = timedelta(days=7)
OF_A_FORM = {"answer", "change_answer", "leave_form"}  # mean nothing once the form is over
COMMANDS = ("checkins", "other_phone", "clear_chat", "safe_word")  # said in words that always work; need no Rasa
RIGHTS = ("resume", "my_data", "delete_my_data")  # likewise, as long as no form of Rasa's waits for its turn
ANSWERED = {Kind.TEXT, Kind.PRESS, Kind.START, Kind.MEDIA, Kind.UNKNOWN}
# told of every turn that will be answered: the channel's name, the conversation, the details that the channel gave
# with the event, and what is set when the turn is over
Begun = Callable[[str, int, Mapping[str, Any], asyncio.Event], Coroutine[Any, Any, None]]
# of the assistant's buttons and words: those that work whoever speaks
OWN_RIGHTS = {"stop", "resume", "my_data", "my_data_file", "delete_my_data", "erase", "keep", "consents",
              "withdraw_consent", "withdraw_request", "stop_checkins", "other_phone", "clear_chat", "set_language",
              "emergency", "emergency_numbers"}  # fmt: skip
# what a « yes » or a « no » under a message that nobody asked for means: its own question
YES = {"checkin_now", "interview_come", "book_interview"}
NO = {"checkin_later", "change_interview"}
SHORT = 4  # words of such an answer
AMONG_OURSELVES = ("terminal",)  # channels where no stranger's machine can write
_LETTER_OR_DIGIT = re.compile(r"\w")
_WORD = re.compile(r"\w+")


# The oldest open row with all that its turn has to know, in one statement. The buttons are those under the last message
# with buttons that went, or is going: nobody means what they never saw. Whether the disk has it is not waited for: when
# the machine dies before, one try is not counted.
_CLAIM = """
    WITH lane AS ({lane}), claimed AS (
        UPDATE inbox SET attempts = attempts + 1
        FROM person, conversation LEFT JOIN staff_member ON staff_member.conversation_id = conversation.id AND active
        WHERE (SELECT held FROM lane) AND conversation.id = inbox.conversation_id AND person.id = conversation.person_id
            AND inbox.status IN ('pending', 'waiting') AND (:waiting OR inbox.status = 'pending')
            AND inbox.id = (
                SELECT id FROM inbox
                WHERE conversation_id = :key AND status IN ('pending', 'waiting')
                    AND (:waiting OR status = 'pending') AND (next_at IS NULL OR next_at <= now())
                ORDER BY id LIMIT 1
            )
        RETURNING inbox.id AS inbox_id, inbox.kind, inbox.content_sealed, inbox.attempts, inbox.status,
            inbox.received_at, inbox.channel, conversation.rasa_id, conversation.rasa_turns, conversation.form,
            conversation.turns, conversation.misunderstood, conversation.noticed_at, conversation.exchanges,
            conversation.address_id, conversation.owner_id, staff_member.id AS staff_id, person.id AS person_id,
            person.key, person.language, person.language_chosen, person.safe_word, conversation.hidden_at,
            (SELECT id FROM appointment WHERE person_id = person.id AND status IN ('draft', 'held')) AS draft,
            (SELECT id FROM checkin WHERE person_id = person.id AND status = 'open' AND asked IS NOT NULL) AS checkin,
            CASE WHEN inbox.kind = 'text' THEN (
                SELECT json_agg(json_build_array(position, title, action, unasked) ORDER BY position)
                FROM issued_button JOIN outbox ON outbox.id = outbox_id
                WHERE issued_button.conversation_id = :key AND issued_button.expires_at > now() AND outbox_id = (
                    SELECT max(outbox_id) FROM issued_button JOIN outbox ON outbox.id = outbox_id
                    WHERE issued_button.conversation_id = :key AND status NOT IN ('held', 'failed', 'cancelled')
                )
            ) END AS buttons,
            EXISTS (
                SELECT 1 FROM inbox AS later
                WHERE later.conversation_id = :key AND later.status IN ('pending', 'waiting') AND later.id > inbox.id
            ) AS more,
            set_config('synchronous_commit', 'off', true)
    )
    SELECT lane.held, claimed.* FROM lane LEFT JOIN claimed ON true
"""
_FIRST = text(_CLAIM.format(lane=TRY_LOCK))  # with the lock of its conversation
_NEXT = text(_CLAIM.format(lane="SELECT true AS held"))  # whoever has it already
# a button that counts still, and the message in which the form asked last
_PRESSED = text("""
    SELECT title, action, outbox_id, (
        SELECT max(outbox_id) FROM issued_button
        WHERE conversation_id = :conversation AND action->>'intent' = ANY(:of_a_form)
    ) AS asked_in, action->'slots'->>'field' IS NOT DISTINCT FROM (
        SELECT action->'slots'->>'field' FROM issued_button
        WHERE conversation_id = :conversation AND action->>'intent' = ANY(:of_a_form)
        ORDER BY outbox_id DESC, position LIMIT 1
    ) AND action->'slots'->>'field' <> 'review' AS asked_again
    FROM issued_button
    WHERE id = :pressed AND conversation_id = :conversation AND expires_at > now() AND used_at IS NULL
""")
_USED = text("UPDATE issued_button SET used_at = :now WHERE id = :pressed")
# what can be pressed now: under the form's last question, or outside of forms under the last message with choices
_CHOICES = text("""
    WITH own AS (
        SELECT issued_button.*, coalesce(action->>'intent' = ANY(:of_a_form), false) AS of_a_form
        FROM issued_button LEFT JOIN outbox ON outbox.id = outbox_id
        WHERE issued_button.conversation_id = :conversation
            AND coalesce(status NOT IN ('held', 'failed', 'cancelled'), true)
    )
    SELECT title, action FROM own
    WHERE outbox_id = (SELECT max(outbox_id) FROM own WHERE of_a_form OR NOT :in_form)
        AND of_a_form = :in_form AND expires_at > now() AND used_at IS NULL
    ORDER BY position
""")
# the turn's last words in one statement: where the conversation stands, what is said, that the event is done, the call
# to send; nothing of it when somebody of the team took or left the conversation meanwhile
_DONE = text(f"""
    WITH thread AS (
        UPDATE conversation SET turns = :turns, misunderstood = :misunderstood, noticed_at = :noticed_at,
            form = :form, rasa_turns = :rasa_turns, rasa_id = :rasa_id, exchanges = :exchanges
        WHERE id = :conversation AND owner_id IS NOT DISTINCT FROM :owner
        RETURNING id
    ), event AS (
        UPDATE inbox SET status = 'done', done_at = :now, turn = :turns, topic = :topic, error = NULL,
            content_sealed = CASE WHEN :forgotten THEN NULL ELSE content_sealed END
        FROM thread WHERE inbox.id = :inbox
    ), {outbox.SAID}
    SELECT id, pg_notify('rafiq', :call) FROM thread
""").bindparams(  # noqa: S608 (our own words)
    *outbox.SAID_TYPES,
    bindparam("owner", type_=Uuid),
    bindparam("noticed_at", type_=DateTime(timezone=True)),
    bindparam("form", type_=Text),
    bindparam("topic", type_=Text),
    bindparam("exchanges", type_=JSONB(none_as_null=True)),
)


@dataclass(frozen=True, slots=True)
class _Work:
    """An inbox row with the conversation it belongs to."""

    inbox_id: int
    kind: Kind
    content: Mapping[str, Any]
    attempts: int
    waiting: bool
    received_at: datetime
    channel: str
    conversation_id: int
    rasa_id: str
    rasa_turns: int
    form: str | None
    turns: int
    misunderstood: int
    noticed_at: datetime | None
    exchanges: Sequence[Sequence[Any]]
    address_id: int
    owner_id: uuid.UUID | None  # who of the team speaks here
    staff_id: uuid.UUID | None  # whose of the team own chat this is
    person_id: int
    person_key: bytes
    language: Language | None
    language_chosen: bool
    safe_word: bytes | None
    hidden: bool
    draft: int | None
    checkin: int | None
    buttons: Sequence[_LastButton]
    more: bool  # whether others wait behind it


@dataclass(frozen=True, slots=True)
class _LastButton:
    """What stands under the conversation's last message with buttons."""

    position: int
    title: str
    action: Mapping[str, Any]
    unasked: bool  # whether it stands under a message that nobody asked for


class _OtherVoice(Exception):
    """Somebody of the team took or left the conversation during the turn: it is taken anew."""


class Turns:
    """Takes the turns of conversations."""

    def __init__(
        self,
        database: Database,
        rasa: Rasa,
        settings: Settings,
        languages: language.LanguageModel,
        triage: Triage,
        audited: staff.Audited,
        begun: Begun | None = None,
        said: Callable[[int], object] | None = None,
    ) -> None:
        self._database = database
        self._rasa = rasa
        self._settings = settings
        self._languages = languages
        self._triage = triage
        self._encoding = ThreadPoolExecutor(1, "encoding")  # beside the event loop; one at a time is enough
        self._ahead: Future[Any] | None = None
        self._floods = guards.Floods()
        self._audited = audited
        self._begun = begun
        self._said = said  # is told of each conversation that has something to send; others hear a wake-up call
        self._told: set[asyncio.Task[None]] = set()  # a task that nobody holds may vanish

    async def work(self, conversation_id: int) -> None:
        """Take every turn that this conversation has waiting.

        What arrives while the lock is being let go is not lost: its wake-up call reached this process too,
        whose worker then comes here again (`bot.jobs.Worker`).
        """
        which = {"waiting": self._rasa.available}
        async with self._database.holding_for(Lane.TURN, conversation_id, _FIRST, which) as held:
            if held is not None:
                connection, row = held
                first = self._work(row, conversation_id) if row.inbox_id is not None else None
                while await self._one(connection, conversation_id, first):
                    first = None

    async def vector_of(self, text: str) -> Any:
        """The sentence vector of a message, for the triage and for Rasa."""
        return await asyncio.get_running_loop().run_in_executor(self._encoding, _vector, text)

    def expect(self, text: str) -> None:
        """A turn with these words is near: their vector is made while the message is being written down."""
        if self._ahead is None or self._ahead.done():  # one at most: in a flood each waits for its turn
            self._ahead = self._encoding.submit(_vector, visible(text).strip())

    async def _one(self, connection: AsyncConnection, conversation_id: int, first: _Work | None) -> bool:
        """Take this turn, or else the oldest; False when none is left. What comes from now on wakes the worker again.

        Where the first statement found nothing, whoever held the lock may have done it in the same moment.
        """
        work = first or await self._claim(connection, conversation_id)
        if work is None:
            return False
        async with together(connection) as session:
            if work.attempts > ATTEMPTS:
                await self._set_aside(session, work)
                self._count(work, "dead")
                return True
            flood = (
                work.staff_id is None
                and self._floods.suspects(conversation_id)
                and await guards.flooding(session, conversation_id)
            )
            if flood and not await self._calm(session, work):
                return True
            over = asyncio.Event()
            self._tell_begun(work, over)
            try:
                await self._take(session, work)
                self._count(work, "done")
                return work.more
            except _OtherVoice:
                await session.rollback()
            except RasaDown as down:
                await session.rollback()
                self._count(work, "rasa_down")
                await self._wait_for_rasa(session, work, down)
            except Exception as error:
                self._count(work, "failed")
                if isinstance(error, DBAPIError) and error.connection_invalidated:
                    await self._give_back(work)
                    raise  # the lock went with the connection: nothing more is taken on this one
                await session.rollback()
                log.error("turn failed", inbox_id=work.inbox_id, attempt=work.attempts, error=type(error).__name__)
                log.debug("turn failed", exc_info=True)
                await session.execute(update(Inbox).where(Inbox.id == work.inbox_id).values(error=type(error).__name__))
                await session.commit()
            finally:
                over.set()
            return True

    async def _give_back(self, work: _Work) -> None:
        """A connection that was cut is not the message's fault: the try does not count, for an hour."""
        young = Inbox.received_at > func.now() - TRUSTED
        this = update(Inbox).where(Inbox.id == work.inbox_id, Inbox.attempts == work.attempts, young)
        for _ in range(2):  # the pool's other connections may be cut as well: the first to see it renews them all
            with suppress(SQLAlchemyError):
                async with self._database.autocommit() as connection:
                    await connection.execute(this.values(attempts=Inbox.attempts - 1))
                    return

    def _count(self, work: _Work, outcome: str) -> None:
        channel = metrics.channel(work.channel)
        metrics.TURNS.labels(channel, outcome).inc()
        if outcome == "done" and work.kind in ANSWERED and not work.waiting:
            metrics.TURN_SECONDS.labels(channel).observe((datetime.now(UTC) - work.received_at).total_seconds())

    async def _claim(self, connection: AsyncConnection, conversation_id: int) -> _Work | None:
        """The oldest open row, its attempt counted and committed before the work begins."""
        which = {"key": conversation_id, "waiting": self._rasa.available}
        row = (await connection.execute(_NEXT, which)).one()
        return self._work(row, conversation_id) if row.inbox_id is not None else None

    def _work(self, row: Any, conversation_id: int) -> _Work:
        return _Work(
            inbox_id=row.inbox_id,
            kind=Kind(row.kind),
            content=self._database.vault.open(row.key, row.content_sealed) if row.content_sealed else {},
            attempts=row.attempts,
            waiting=row.status == "waiting",
            received_at=row.received_at,
            channel=row.channel,
            conversation_id=conversation_id,
            rasa_id=row.rasa_id,
            rasa_turns=row.rasa_turns,
            form=row.form,
            turns=row.turns,
            misunderstood=row.misunderstood,
            noticed_at=row.noticed_at,
            exchanges=row.exchanges or (),
            address_id=row.address_id,
            owner_id=row.owner_id,
            staff_id=row.staff_id,
            person_id=row.person_id,
            person_key=row.key,
            language=row.language,
            language_chosen=row.language_chosen,
            safe_word=row.safe_word,
            hidden=row.hidden_at is not None,
            draft=row.draft if row.hidden_at is None else None,
            checkin=row.checkin if row.hidden_at is None else None,
            buttons=[_LastButton(*one) for one in row.buttons or ()],
            more=row.more,
        )

    async def _calm(self, session: AsyncSession, work: _Work) -> bool:
        """Set a flood aside with one word about it; True when this message is to be answered all the same."""
        aside: list[int] = []
        files: list[tuple[int, Mapping[str, Any]]] = []
        read: dict[str, Cue | None] = {}
        for row in await guards.waiting(session, work.conversation_id):
            content = self._database.vault.open(work.person_key, row.content_sealed) if row.content_sealed else {}
            words = visible(str(content.get("text") or ""))
            if words not in read:
                whole = len(read) < READ_OF_A_FLOOD
                read[words] = (
                    self._triage.read(words, await self.vector_of(words)) if whole else self._triage.strong(words)
                )
            cue = read[words]
            if cue is None or not self._floods.answers(work.conversation_id, cue.name, row.id):
                aside.append(row.id)
                details = content.get("details") or {}
                if row.kind == Kind.MEDIA and details.get("media") in media.FOR_A_PERSON:
                    files.append((row.id, details))
        for inbox_id, details in files[: await guards.files_left(session, work.conversation_id)]:
            await media.keep(self._context(session, replace(work, inbox_id=inbox_id), work.language or "fr"), details)
        await guards.set_aside(session, aside)
        if work.inbox_id in aside and await guards.tell_once(session, work.conversation_id):
            ctx = self._context(session, work, work.language or "fr")
            ctx.say("slow_down", [ctx.do("button.person", "handoff", reason="asked")])
            await outbox.write(ctx, work.inbox_id)
            await wake(session, Lane.DELIVERY, work.conversation_id)
        await session.commit()
        log.warning("a flood set aside", conversation_id=work.conversation_id, messages=len(aside))
        return work.inbox_id not in aside

    def _context(self, session: AsyncSession, work: _Work, spoken: Language) -> Context:
        return Context(
            session=session,
            vault=self._database.vault,
            settings=self._settings,
            now=datetime.now(UTC),
            inbox_id=work.inbox_id,
            person_id=work.person_id,
            person_key=work.person_key,
            conversation_id=work.conversation_id,
            channel=work.channel,
            language=spoken,
            owner_id=work.owner_id,
            hidden=work.hidden,
        )

    async def _take(self, session: AsyncSession, work: _Work) -> None:
        typed = visible(str(work.content.get("text") or "")).strip()
        ctx = self._context(session, work, self._language(work, typed))
        ctx.text, ctx.misunderstood, ctx.first = typed, work.misunderstood, work.turns == 0
        ctx.draft, ctx.checkin = work.draft, work.checkin
        ctx.form = self._form(ctx, work.form)
        faults.point("turn.claimed")
        point = work.content.get("point")
        if point is not None:
            await points.attribute(session, bytes.fromhex(point), work.conversation_id, work.person_id)
        decision = await self._decide(ctx, work, typed)
        faults.point("turn.decided")
        if decision is not None:
            misread = await interviews.misread(ctx, decision) or await checkins.misread(ctx, decision)
            if not misread:
                await self._perform(ctx, decision)
            await interviews.resume(ctx, decision.form)
            await checkins.resume(ctx, decision.form)
        faults.point("turn.performed")
        await self._finish(ctx, work, decision)

    def _form(self, ctx: Context, of_rasa: str | None) -> str | None:
        """The form in progress: Rasa's, the one that makes an appointment, or a check-in."""
        if of_rasa is not None or ctx.draft is not None:
            return of_rasa or interviews.FORM
        return checkins.FORM if ctx.checkin is not None else None

    def _tell_begun(self, work: _Work, over: asyncio.Event) -> None:
        """Have the channel show that somebody is writing, without waiting for it."""
        if self._begun is not None and work.kind in ANSWERED and work.attempts == 1 and not work.waiting:
            details = work.content.get("details") or {}
            task = asyncio.create_task(self._begun(work.channel, work.conversation_id, details, over))
            self._told.add(task)
            task.add_done_callback(self._told.discard)

    def _language(self, work: _Work, typed: str) -> Language:
        if work.kind is Kind.TEXT and work.staff_id is None and not staff.is_code(typed):
            hint = work.content.get("hint")
            return language.of_conversation(self._languages, typed, work.language, work.language_chosen, hint)
        return work.language or language.hinted(work.content.get("hint")) or "fr"

    async def _decide(self, ctx: Context, work: _Work, typed: str) -> Decision | None:
        """What to do: Rasa's decision, or None when it has been done here without Rasa."""
        if work.kind in (Kind.TEXT, Kind.START) and staff.is_code(typed):
            await staff.link(ctx, typed, self._audited)
        elif work.staff_id is not None and work.kind in ANSWERED:
            press, details = str(work.content.get("press") or ""), work.content.get("details") or {}
            await staff.turn(ctx, work.staff_id, work.kind, press, details, self._audited)
        elif work.kind is Kind.TEXT and safe_word.is_it(ctx, typed, work.safe_word):
            await knowing.hide(ctx, work.rasa_id, work.form)
        elif work.owner_id is not None and work.kind in ANSWERED:
            await self._to_the_team(ctx, work, typed)
        elif work.kind is Kind.START:
            await rights.welcome_back(ctx)
            await VERBS["welcome"](ctx)
        elif work.kind is Kind.BLOCKED:
            told = inbox.told_at(work.content.get("details") or {}, work.received_at)
            await people.blocked(ctx.session, work.conversation_id, min(told + SKEW, work.received_at))
        elif work.kind is Kind.UNBLOCKED:
            await people.unblocked(ctx.session, work.conversation_id)
        elif work.kind is Kind.STOPPED:
            await rights.stop(ctx, silently=True)
        elif work.kind is Kind.RESUMED:
            await rights.resume(ctx, silently=True)
        elif work.kind is Kind.IDENTITY:
            await self._other_identity(ctx, work)
        elif work.kind is Kind.GROUP:
            ctx.say("group")
        elif work.kind is Kind.PRESS:
            return await self._pressed(ctx, work, str(work.content.get("press") or ""))
        elif work.kind is Kind.TEXT:
            return await self._typed(ctx, work, typed)
        elif work.kind is Kind.MEDIA and work.content.get("details", {}).get("media") in media.FOR_A_PERSON:
            await self._received(ctx, work)
        elif not self._looping(ctx, work):
            ctx.say("media", [ctx.do("button.person", "handoff", reason="asked")])
        else:
            self._say_it_loops(ctx, work)
        return None

    async def _to_the_team(self, ctx: Context, work: _Work, typed: str) -> None:
        """Somebody of the team speaks here: what the person does goes to them, but for what is the person's right.

        A check-in waits meanwhile: no word to a person of the team is an answer to its question.
        """
        cue = self._triage.read(typed, await self.vector_of(typed)) if typed else None
        details = work.content.get("details") or {}
        if work.kind is Kind.MEDIA and details.get("media") in media.FOR_A_PERSON:
            await media.keep(ctx, details)
        if cue is not None:
            await staff.alarm(ctx, cue, typed)
            await checkins.cue(ctx, cue.name)
            return
        await checkins.put_off(ctx)
        if work.kind is Kind.START:
            await rights.welcome_back(ctx)
            await staff.speaks(ctx)
        elif work.kind is Kind.PRESS:
            await self._pressed_beside(ctx, work)
        elif work.kind is Kind.TEXT:
            await staff.relay(ctx, work.kind, typed)
            await knowing.answered(ctx, typed)
            right = command(typed, in_form=work.form is not None)
            if right == "stop" and work.form is not None:
                await first_contact.leave(ctx)
            if right in OWN_RIGHTS:
                await VERBS[right](ctx)
        else:
            await staff.relay(ctx, work.kind, typed, str(details.get("media")))

    async def _pressed_beside(self, ctx: Context, work: _Work) -> None:
        """A button of the assistant's in a conversation that somebody of the team has."""
        pressed = str(work.content.get("press") or "")
        which = {"pressed": pressed, "conversation": ctx.conversation_id, "of_a_form": sorted(OF_A_FORM)}
        button = (await ctx.session.execute(_PRESSED, which)).first()
        if button is None:
            return
        await ctx.session.execute(_USED, {"pressed": pressed, "now": ctx.now})
        if button.action.get("do") in OWN_RIGHTS:
            await VERBS[button.action["do"]](ctx, **button.action.get("with", {}))
        else:
            await staff.relay(ctx, work.kind, button.title)

    async def _received(self, ctx: Context, work: _Work) -> None:
        """A voice message or a picture: kept for a person of the team, whom it is handed to."""
        details = work.content["details"]
        cue = self._triage.read(ctx.text, await self.vector_of(ctx.text)) if ctx.text else None
        first = await media.keep(ctx, details)
        if cue is not None:
            await safety.respond(ctx, cue)
            await checkins.cue(ctx, cue.name)
        elif first or ctx.text:
            await VERBS["handoff"](ctx, reason="media")

    async def _other_identity(self, ctx: Context, work: _Work) -> None:
        """The number, or who holds it, changed: nothing sensitive goes there until it is known who reads it."""
        await people.doubt(ctx.session, work.address_id)
        details = work.content.get("details", {})
        address = details.get("address")
        if isinstance(address, str) and address:
            vault, also = self._database.vault, details.get("also", ())
            since = inbox.told_at(details, work.received_at)
            await people.doubt_others(ctx.session, vault, work.channel, work.address_id, [address, *also], since)
            if await people.move(ctx.session, vault, work.channel, work.address_id, work.person_key, address):
                await people.other_names(ctx.session, vault, work.channel, work.address_id, also)

    async def _typed(self, ctx: Context, work: _Work, typed: str) -> Decision | None:
        looping = self._looping(ctx, work)
        vector = None
        cue = self._triage.strong(typed)
        if cue is None or cue.priority != "P0":  # danger to life waits for no vector: others may be in the queue
            vector = await self.vector_of(typed)
            cue = self._triage.read(typed, vector)
        if cue is not None and not (_only_an_age(cue, typed) and await self._asks_for_an_age(ctx, work)):
            await safety.respond(ctx, cue, silently=looping)
            await checkins.cue(ctx, cue.name)
            return None
        if looping:
            self._say_it_loops(ctx, work)
            return None
        if not _LETTER_OR_DIGIT.search(typed):
            ctx.say("no_words", [ctx.do("button.help", "help")])
            return None
        action = self._typed_button(ctx, work, typed)
        if action is not None:
            return await self._act(ctx, work, action)
        intent = command(typed, in_form=ctx.form is not None)
        if intent == "stop":  # needs nobody else
            if work.form is not None:
                await first_contact.leave(ctx)
            await VERBS[intent](ctx)
            return None
        if intent in COMMANDS or (intent in RIGHTS and work.form is None):
            await self._do(ctx, intent)
            return None
        if await knowing.answered(ctx, typed):
            return None
        if intent is not None:
            return await self._rasa.turn(work.rasa_id, str(work.inbox_id), intent=intent)
        if work.form is None and (await interviews.read(ctx) or await checkins.read(ctx)):
            return None
        if work.waiting and ctx.now - work.received_at > TOO_OLD:
            ctx.say("back_again", [ctx.do("button.help", "help")])
            return None
        if ctx.form is None:
            first, ctx.also = await self._two_questions(typed)
            if ctx.also is not None:
                typed, vector = first, await self.vector_of(first)
        return await self._rasa.turn(work.rasa_id, str(work.inbox_id), text=typed, vector=vector)

    async def _two_questions(self, typed: str) -> tuple[str, str | None]:
        """Where two questions of the programme stand in one message: the first one's words, the other one's topic."""
        parts = questions.apart(typed)
        if len(parts) < 2:
            return typed, None
        first, second = await self._rasa.understand(parts, [await self.vector_of(part) for part in parts])
        topics = knowledge.topics()
        sure = all(one.label in topics and one.confidence >= forms.SURE for one in (first, second))
        return (parts[0], second.label) if sure and first.label != second.label else (typed, None)

    def _exchanges(self, ctx: Context, work: _Work) -> list[list[Any]] | None:
        """What was heard and said lately, with this turn: hashes that say nothing."""
        if ctx.erased:
            return None
        heard = self._heard(ctx, work)
        if heard is None:
            return [list(one) for one in work.exchanges]
        said = self._hash(work, " ".join(saying.text for saying in ctx.sayings))
        if self._looping(ctx, work):
            said = guards.SILENCED
        return guards.remembered(work.exchanges, heard, said, ctx.now)

    def _looping(self, ctx: Context, work: _Work) -> bool:
        heard = self._heard(ctx, work)
        if heard is None or work.channel in AMONG_OURSELVES:
            return False
        return guards.looping(work.exchanges, heard, ctx.now)

    def _say_it_loops(self, ctx: Context, work: _Work) -> None:
        if not guards.silenced(work.exchanges):
            ctx.say("same_again", [ctx.do("button.person", "handoff", reason="asked")])

    def _heard(self, ctx: Context, work: _Work) -> str | None:
        """A hash of what a machine might say for ever: a text, or what nobody here can read, as WhatsApp hands on what
        another program sends; None for anything else."""
        if work.kind is Kind.TEXT:
            return self._hash(work, ctx.text)
        what = (work.content.get("details") or {}).get("media")
        if work.kind is Kind.UNKNOWN or (work.kind is Kind.MEDIA and what not in media.FOR_A_PERSON):
            return self._hash(work, f"{work.kind} {what}")
        return None

    def _hash(self, work: _Work, words: str) -> str:
        return self._database.vault.digest("exchange", str(work.conversation_id), _plain(words) or words)[:6].hex()

    async def _pressed(self, ctx: Context, work: _Work, pressed: str) -> Decision | None:
        if pressed == OPENS:
            return None
        forms_ = {"conversation": ctx.conversation_id, "of_a_form": sorted(OF_A_FORM)}
        button = (await ctx.session.execute(_PRESSED, {"pressed": pressed, **forms_})).first()
        of_a_form = button is not None and button.action.get("intent") in OF_A_FORM
        # the question may stand there twice, with what was said in between: either of them can be answered
        open_ = button is not None and (button.outbox_id == button.asked_in or button.asked_again)
        if button is None or (of_a_form and (work.form is None or not open_)):
            log.info("a button that is not valid", inbox_id=work.inbox_id, issued=button is not None)
            in_form = work.form is not None
            current = await ctx.session.execute(_CHOICES, {"in_form": in_form, **forms_})
            ctx.say(
                "button.stale",
                [Choice(one.title, one.action) for one in current]
                or [ctx.do("button.help", "help"), ctx.do("button.person", "handoff", reason="asked")],
            )
            return None
        await ctx.session.execute(_USED, {"pressed": pressed, "now": ctx.now})
        return await self._act(ctx, work, button.action)

    async def _act(self, ctx: Context, work: _Work, action: Mapping[str, Any]) -> Decision | None:
        if "staff" in action:  # of somebody who is in the team no more
            ctx.say("desk.stale", [ctx.do("button.help", "help")])
            return None
        if "do" in action:
            await self._do(ctx, action["do"], **action.get("with", {}))
            await interviews.resume(ctx, work.form)
            await checkins.resume(ctx, work.form)
            return None
        return await self._rasa.turn(
            work.rasa_id, str(work.inbox_id), intent=action["intent"], slots=action.get("slots")
        )

    async def _asks_for_an_age(self, ctx: Context, work: _Work) -> bool:
        """Whether a form waits for an age: it knows what to do for a child."""
        if work.form is not None:
            return True
        asked: str | None = None
        if work.draft is not None:
            asked = await ctx.session.scalar(select(Appointment.asked).where(Appointment.id == work.draft))
        elif work.checkin is not None:
            asked = await ctx.session.scalar(select(Checkin.asked).where(Checkin.id == work.checkin))
        return asked == "age_group"

    async def _do(self, ctx: Context, verb: str, **given: Any) -> None:
        """What a button, a word or Rasa's reply asks for; while the conversation is hidden, nothing personal."""
        if ctx.hidden and verb in knowing.PERSONAL:
            ctx.say("identity.held", [ctx.do("button.person", "handoff", reason="asked")])
        else:
            await VERBS[verb](ctx, **given)

    def _typed_button(self, ctx: Context, work: _Work, typed: str) -> Mapping[str, Any] | None:
        """What the button of the last message does whose title or number this text repeats.

        Under a message that nobody asked for, a yes or a no answers what it asks.
        """
        said = _plain(typed)
        if not said or len(said) > forms.LONGEST_TEXT:
            return None
        number = numerals.whole(said)
        for button in work.buttons:
            if said == _plain(button.title) or number == button.position:
                return dict(button.action)
        if any(button.action.get("do") == safe_word.LEAVE for button in work.buttons):
            return {"do": "safe_word_keep"} if command(typed) is None else None
        below = [one.action for one in work.buttons]
        corrected = next((action["with"] for action in below if action.get("do") == corrections.LEAVE), None)
        if corrected is not None and command(typed) is None and corrections.is_answer(ctx, corrected["field"]):
            return {"do": "correct_to", "with": corrected}
        if not work.buttons or not work.buttons[0].unasked or ctx.form is not None or len(said.split()) > SHORT:
            return None
        agreed = values.read_yes_no(typed)
        verbs = {"yes": YES, "no": NO}.get(agreed, set())
        for button in work.buttons:
            verb, given = button.action.get("do"), button.action.get("with", {})
            if verb in verbs or (verb == "checkin_answer" and given.get("value") == agreed):
                return dict(button.action)
        return None

    async def _perform(self, ctx: Context, decision: Decision) -> None:
        """Turn Rasa's replies, which are data, into words and effects."""
        ctx.understanding = decision.understanding
        ctx.answers = decision.answers
        ctx.form = self._form(ctx, decision.form)
        instead = {"choose_change", "leave_first_contact"}  # of the open question
        changing = any(reply.get("do") in instead for reply in decision.replies)
        for reply in decision.replies:
            if "do" in reply:
                await self._do(ctx, reply["do"], **reply.get("with", {}))
            elif "answer" in reply and decision.form and decision.asks:
                if not changing:
                    self._ask(ctx, decision.form, decision.asks)
            elif "say" in reply:
                ctx.say(reply["say"])
        if not decision.replies:
            await VERBS["not_understood"](ctx)

    def _ask(self, ctx: Context, form: str, slot: str) -> None:
        """A form's question with its choices as buttons."""
        step = forms.step(form, slot)
        values = {"answers": first_contact.read_back(ctx)} if slot == "review" else {}
        ctx.say(
            step.say,
            [
                Choice(
                    i18n.say(step.choice_text(choice), ctx.language),
                    {"intent": "answer", "slots": {"field": slot, "value": choice}},
                )
                for choice in [*step.choices, *([forms.SKIPPED] if step.skip else [])]
            ],
            **values,
        )

    async def _finish(self, ctx: Context, work: _Work, decision: Decision | None) -> None:
        """Write what was said and done, and commit."""
        session = ctx.session
        if ctx.erased:
            await staff.erased(ctx)
            await rights.erase_person(ctx)
        said = await outbox.written(ctx, work.inbox_id)
        if ctx.language_chosen or (work.kind is Kind.TEXT and ctx.language != work.language):
            values: dict[str, Any] = {"language": ctx.language}
            if ctx.language_chosen:
                values["language_chosen"] = True
            await session.execute(update(Person).where(Person.id == ctx.person_id).values(values))
        form = decision.form if decision is not None else work.form
        rasa_turns = decision.turns if decision is not None else work.rasa_turns
        rasa_id = work.rasa_id
        if ctx.dialogue is not None and not ctx.forget_dialogue:
            (rasa_id, form), rasa_turns = ctx.dialogue, 0
        elif ctx.forget_dialogue or (form is None and rasa_turns >= ROTATE_AFTER):
            await session.execute(text("DELETE FROM rasa_tracker WHERE conversation = :c"), {"c": work.rasa_id})
            rasa_id, rasa_turns, form = people.new_rasa_id(), 0, None
        faults.point("turn.before_commit")
        theirs = await conclude(
            session,
            _DONE,
            {
                **said,
                "conversation": work.conversation_id,
                "turns": work.turns + 1,
                "misunderstood": ctx.misunderstood,
                "noticed_at": work.noticed_at if decision is None else None,
                "form": form,
                "rasa_turns": rasa_turns,
                "rasa_id": rasa_id,
                "exchanges": self._exchanges(ctx, work),
                "now": ctx.now,
                "forgotten": ctx.erased or ctx.forget_words,
                "topic": None if ctx.erased else ctx.topic,
                "call": wake_up_call(Lane.DELIVERY, work.conversation_id, self._database.name if self._said else ""),
                "owner": ctx.owner_id,
            },
        )
        if not theirs:
            raise _OtherVoice
        faults.point("turn.committed")
        if self._said is not None:
            self._said(work.conversation_id)

    async def _wait_for_rasa(self, session: AsyncSession, work: _Work, down: RasaDown) -> None:
        """Rasa is down: say so once, offer what works without it, keep the message for later."""
        # a message that Rasa fails on while it is well counts as tried; an outage does not
        tried = {} if await self._rasa.ready() else {"attempts": 0}  # asked before anybody is made to wait
        this = select(Conversation.owner_id).where(Conversation.id == work.conversation_id)
        if await session.scalar(this.with_for_update(key_share=True)) != work.owner_id:
            await session.rollback()
            return
        log.warning("rasa is down", inbox_id=work.inbox_id, reason=str(down))
        now = datetime.now(UTC)
        if work.noticed_at is None:
            typed = visible(str(work.content.get("text") or "")).strip()
            ctx = self._context(session, work, self._language(work, typed))
            ctx.say(
                "rasa_down",
                [
                    ctx.do("button.emergency", "emergency"),
                    Choice(
                        i18n.say("button.contact", ctx.language),
                        {"do": "answer", "with": {"topic": "contact_iom_morocco"}},
                    ),
                    ctx.do("button.person", "handoff", reason="asked"),
                ],
            )
            await outbox.write(ctx, work.inbox_id)
            await session.execute(
                update(Conversation).where(Conversation.id == work.conversation_id).values(noticed_at=now)
            )
            await wake(session, Lane.DELIVERY, work.conversation_id)
        await session.execute(
            update(Inbox)
            .where(Inbox.id == work.inbox_id)
            .values(status="waiting", next_at=now + timedelta(seconds=2), error=str(down)[:200], **tried)
        )
        await session.commit()

    async def _set_aside(self, session: AsyncSession, work: _Work) -> None:
        """A message that failed three times: kept for staff, told to the person, out of the way of the next."""
        ctx = self._context(session, work, work.language or "fr")
        ctx.say("set_aside", [ctx.do("button.person", "handoff", reason="asked"), ctx.do("button.help", "help")])
        await outbox.write(ctx, work.inbox_id)
        await session.execute(
            update(Inbox).where(Inbox.id == work.inbox_id).values(status="dead", done_at=ctx.now, turn=work.turns + 1)
        )
        await session.execute(
            update(Conversation).where(Conversation.id == work.conversation_id).values(turns=work.turns + 1)
        )
        await session.execute(insert(Alert).values(kind="message set aside", detail={"inbox_id": work.inbox_id}))
        await wake(session, Lane.DELIVERY, work.conversation_id)
        await session.commit()
        log.error("message set aside after three attempts", inbox_id=work.inbox_id)


def _vector(text: str) -> Any:
    return encode(meant(text))


def _only_an_age(cue: Cue, typed: str) -> bool:
    """« j'ai 16 ans » and no more."""
    if cue.name != "child_alone" or len(_WORD.findall(typed)) > 4:
        return False
    return bool(values.read_age_group(typed) != "unknown")


def _plain(words: str) -> str:
    return " ".join(_WORD.findall(without_accents(normalise(words))))
