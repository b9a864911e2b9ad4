"""The pages themselves. Each handler gets a visit that passed every check of `guard`, and answers it."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from fastapi import APIRouter
from markupsafe import Markup
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from bot import i18n
from bot.assistant import knowledge
from bot.assistant.values import read_country
from bot.cases import delivery as case_delivery
from bot.cases.answers import Answer
from bot.checkins import schedule
from bot.console import accounts, audit, calendar, checkins, data, plots, points, provider, reading, settings, wording
from bot.console.access import Field
from bot.console.guard import HERE, LATELY, Console, Handler, NotThere, Visit, guarded, safe_path
from bot.console.person import about, waited
from bot.conversation import answers, figures, handoffs, overview
from bot.conversation.figures import Board
from bot.conversation.handoffs import CANNED, Desk, HandoffError
from bot.conversation.media import Given, Unusable
from bot.db.models import AuditEntry, CaseEndpoint, CaseEvent, Handoff, StaffMember
from bot.journeys import learning
from bot.messages import LANGUAGES
from bot.orientation.report import HIDDEN

STATIC = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "htmx.js": "text/javascript; charset=utf-8",
}
MESSAGES, ALL_MESSAGES = 100, 1000  # of a conversation: as its page opens, and when earlier ones are asked for
STUCK = 50  # of each kind of what did not go
REVIEWED = 10  # messages to be labelled on a page
_DRAWING = asyncio.Lock()  # one picture at a time: for the memory
SEARCHES = 30  # lately, of one member of the team
VERIFIED = 1000  # rows of the audit that its page looks at
SEEN_FOR = timedelta(hours=1)  # an open page that refreshes itself is written down once in this time


async def static(visit: Visit) -> Response:
    """Style and scripts."""
    name = visit.path("name")
    if name not in STATIC:
        return visit.show("refused.html", 404, why="console.refused.missing")
    content = (HERE / "static" / name).read_bytes()
    return Response(content, headers={"content-type": STATIC[name], "cache-control": "public, max-age=300"})


# --- signing in and out


async def login_form(visit: Visit) -> Response:
    """E-mail, password, code."""
    return visit.show("login.html", next=safe_path(visit.request.query_params.get("next", "")), error="", email="")


async def login(visit: Visit) -> Response:
    """A new session for whoever knows both."""
    onward, email = safe_path(visit.form.get("next", "")), visit.form.get("email", "")
    try:
        token = await accounts.sign_in(
            visit.console.database,
            email=email,
            password=visit.form.get("password", ""),
            code=visit.form.get("code", ""),
            place=visit.place,
            replaces=visit.token,
        )
    except accounts.Refused:
        return visit.show("login.html", 403, next=onward, error="console.login.refused", email=email)
    except accounts.TooMany:
        return visit.show("login.html", 429, next=onward, error="console.login.too_many", email=email)
    visit.token = token
    return visit.renewed(visit.go(onward))


async def logout(visit: Visit) -> Response:
    """The session is over, here and in the database."""
    await accounts.end(visit.console.database, visit.staff, visit.staff.session_id)
    response = visit.go("/console/login")
    response.delete_cookie(visit.console.cookie, path="/", secure=visit.console.secure, httponly=True, samesite="lax")
    response.headers["clear-site-data"] = '"cache"'
    return response


async def verify_form(visit: Visit) -> Response:
    """Password and code once more, before something grave."""
    return visit.show("verify.html", next=safe_path(visit.request.query_params.get("next", "")), error="")


async def verify(visit: Visit) -> Response:
    """Good for ten minutes."""
    onward = safe_path(visit.form.get("next", ""))
    error = await _verified(visit)
    return visit.show("verify.html", 403, next=onward, error=error) if error else visit.renewed(visit.go(onward))


async def _verified(visit: Visit) -> str:
    """The text id of why not, or nothing; then the session goes on under a new token."""
    password, code = visit.form.get("password", ""), visit.form.get("code", "")
    try:
        visit.token = await accounts.verify_again(visit.console.database, visit.staff, password=password, code=code)
    except accounts.Refused:
        return "console.login.refused"
    except accounts.TooMany:
        return "console.login.too_many"
    return ""


# --- the inbox


async def inbox(visit: Visit) -> Response:
    """Who waits, live."""
    return visit.show("inbox.html", **await _inbox(visit))


async def inbox_list(visit: Visit) -> Response:
    """Its rows alone."""
    return visit.show("inbox_list.html", **await _inbox(visit))


async def _inbox(visit: Visit) -> dict[str, Any]:
    rows = await _queue(visit)
    return {
        "rows": rows[: reading.WAITING],
        "number": len(rows),
        "most": reading.WAITING,
        "now": datetime.now(UTC),
        "why": lambda one: handoffs.why(one, visit.language),
        "waited": lambda since: waited(visit, since),
    }


async def _queue(visit: Visit) -> list[tuple[Handoff, str | None]]:
    """What is open and there for them; read once for all who look at this moment."""
    console, staff = visit.console, visit.staff
    rows = await console.queue.get(lambda: reading.queue(console.database))
    return [(one, name) for one, name in rows if reading.visible(one, staff)]


async def live(visit: Visit) -> Response:
    """Events for the inbox: one when it is no longer what it was."""

    async def state() -> list[tuple[Any, ...]]:
        return [(one.id, one.status, one.priority, name) for one, name in await _queue(visit)]

    seen = await state()

    async def changed(keys: set[int]) -> bool:
        nonlocal seen
        before, seen = seen, await state()
        return before != seen

    return visit.follow(changed)


# --- a conversation


async def handoff(visit: Visit) -> Response:
    """The conversation in which a person was asked for."""
    return await _handoff(visit)


async def _handoff(visit: Visit, error: str = "", words: str = "", status: int = 200) -> Response:
    database, reference = visit.console.database, visit.path("reference")
    async with database.session() as session:
        found = await reading.handoff(session, reference, visit.staff)
        if found is None:
            raise NotThere
        one, case = found
        shown = {
            **await about(visit, session, case),
            **(
                await _talk(visit, session, one, case) if visit.sees(Field.WORDS) else {"lines": None, "earlier": False}
            ),
            "names": await reading.names(session),
            "colleagues": [them for them in await reading.colleagues(session, one.place) if them.id != one.owner_id],
        }
    await visit.note("conversation.seen", reference)
    mine = _mine(visit, one)
    return visit.show(
        "handoff.html",
        status,
        one=one,
        case=case,
        mine=mine,
        movable=one.status == "taken" and (mine or reading.supervises(visit.staff.role)),
        error=error,
        words=words,
        fresh=uuid.uuid4(),
        fresh_file=uuid.uuid4(),
        canned=[
            (visit.say(f"console.canned.{key}.title"), _canned(key, case), visit.say(f"console.canned.{key}"))
            for key in CANNED
        ],
        **shown,
    )


def _canned(key: str, case: reading.Case) -> str:
    """A ready-made answer in the language that the person reads."""
    return i18n.say(f"console.canned.{key}", case.language if case.language in LANGUAGES else "fr")


async def _talk(visit: Visit, session: AsyncSession, one: Handoff, case: reading.Case) -> dict[str, Any]:
    """What was said and done, for those who may read it."""
    desk, earlier = _desk(visit, session), "earlier" in visit.request.query_params
    most = ALL_MESSAGES if earlier else MESSAGES
    return {
        "lines": await desk.conversation(one.reference, visit.staff.role, most),
        "earlier": earlier,
        "most": most,
        "media": await reading.kept_media(session, case.conversation_id),
        "history": await desk.history(one.reference),
    }


def _desk(visit: Visit, session: AsyncSession) -> Desk:
    return Desk(session, visit.console.database.vault, visit.console.settings, datetime.now(UTC))


async def thread(visit: Visit) -> Response:
    """What was said alone, for a page that is open."""
    async with visit.console.database.session() as session:
        found = await reading.handoff(session, visit.path("reference"), visit.staff)
        if found is None:
            raise NotThere
        shown = await _talk(visit, session, *found)
        reference = found[0].reference
        seen = await audit.lately(session, visit.staff.id, "conversation.seen", SEEN_FOR, reference)
    if not seen:
        await visit.note("conversation.seen", reference)
    return visit.show("thread.html", one=found[0], case=found[1], mine=_mine(visit, found[0]), **shown)


def _mine(visit: Visit, one: Handoff) -> bool:
    return one.owner_id == visit.staff.id and one.status == "taken"


async def conversation_live(visit: Visit) -> Response:
    """Events for one conversation."""
    async with visit.console.database.session() as session:
        found = await reading.handoff(session, visit.path("reference"), visit.staff)
    if found is None:
        raise NotThere
    conversation_id = found[1].conversation_id

    async def changed(keys: set[int]) -> bool:
        return conversation_id in keys

    return visit.follow(changed)


async def media(visit: Visit) -> Response:
    """A voice message or picture of this conversation, opened for whoever may read it."""
    database, reference = visit.console.database, visit.path("reference")
    async with database.session() as session:
        if await reading.handoff(session, reference, visit.staff) is None:
            raise NotThere
        kept = await _desk(visit, session).media(reference, visit.number(), visit.staff.role)
        if kept is None:
            raise NotThere
        content, mime = kept
        seen = {"media": visit.number()}
        await audit.record(session, database.vault, visit.staff.id, "media.seen", reference, seen)
        await session.commit()
    return Response(
        content,
        headers={
            "content-type": mime,
            "content-disposition": "inline",
            "content-security-policy": "default-src 'none'; sandbox",
        },
    )


async def request(visit: Visit) -> Response:
    """A first-contact request: what was asked, and the conversations in which a person was wanted."""
    return await _request(visit)


async def _request(visit: Visit, error: str = "", said: str = "", status: int = 200) -> Response:
    database, reference = visit.console.database, visit.path("reference")
    async with database.session() as session:
        found = await reading.request(session, database.vault, reference, visit.staff.places)
        if found is None:
            raise NotThere
        shown = await about(visit, session, found[1])
        await audit.record(session, database.vault, visit.staff.id, "request.seen", reference)
        await session.commit()
    today = datetime.now(UTC).date()
    return visit.show(
        "request.html", status, reference=reference, case=found[1], error=error, said=said, today=today, **shown
    )


async def returned(visit: Visit) -> Response:
    """The person is back: they are asked whether they want check-ins. Recorded before, the day is corrected."""
    database, reference = visit.console.database, visit.path("reference")
    async with database.session() as session:
        if await reading.request(session, database.vault, reference, visit.staff.places) is None:
            raise NotThere
    day, country = _day(visit.form.get("returned_on", "")), visit.form.get("country", "").strip()
    where = read_country(country)
    if day is None or not schedule.believable(day, datetime.now(UTC)):
        return await _request(visit, "console.returned.wrong_day", status=400)
    if country and where is None:
        return await _request(visit, "console.returned.wrong_country", status=400)
    data = {"ref": reference, "returned_on": day.isoformat(), "country": where}
    answer = Answer("return.recorded", reference, datetime.now(UTC), data)

    async def note(session: AsyncSession) -> None:
        await audit.record(session, database.vault, visit.staff.id, "return.recorded", reference)

    told = await answers.take(database, str(uuid.uuid4()), answer, note)
    if told is None:
        raise NotThere
    return await _request(visit, said="console.returned.invited" if told else "console.returned.not_invited")


def _day(given: str) -> date | None:
    try:
        return date.fromisoformat(given)
    except ValueError:
        return None


async def _step(visit: Visit, action: str, step: Callable[[Desk, str, uuid.UUID], Awaitable[Any]]) -> Response:
    """Do something in a conversation and write it into the audit, both or neither; then show how it stands."""
    database, reference = visit.console.database, visit.path("reference")
    async with database.session() as session:
        if await reading.handoff(session, reference, visit.staff) is None:
            raise NotThere
        try:
            await step(_desk(visit, session), reference, visit.staff.id)
        except HandoffError as refused:
            await session.rollback()
            error = visit.say(refused.say, **refused.values)
            return await _handoff(visit, error, visit.form.get("words", ""), 409)
        await audit.record(session, database.vault, visit.staff.id, action, reference)
        await session.commit()
    return visit.go(f"/console/handoffs/{reference}")


async def take(visit: Visit) -> Response:
    """The conversation is theirs, if nobody was faster."""
    return await _step(visit, "handoff.taken", lambda desk, reference, me: desk.claim(reference, me))


async def reopen(visit: Visit) -> Response:
    """Take it up again."""
    return await _step(visit, "handoff.reopened", lambda desk, reference, me: desk.reopen(reference, me))


async def reply(visit: Visit) -> Response:
    """Write to the person; the same form sent twice writes once."""
    words, fresh = visit.form.get("words", "").strip(), _uuid(visit.form.get("fresh", ""))
    if not words:
        return visit.go(f"/console/handoffs/{visit.path('reference')}")
    return await _step(visit, "handoff.replied", lambda desk, reference, me: desk.reply(reference, me, words, fresh))


async def send_file(visit: Visit) -> Response:
    """Send a voice message or a picture, cleaned as those of people are, with words or without."""
    words = visit.form.get("words", "").strip()
    try:
        async with _DRAWING:
            given = await asyncio.to_thread(Given.of, visit.files.get("file", b""))
    except Unusable:
        return await _handoff(visit, visit.say("console.file.wrong"), status=400)
    fresh = _uuid(visit.form.get("fresh", ""))
    return await _step(
        visit, "handoff.replied", lambda desk, reference, me: desk.reply(reference, me, words, fresh, given)
    )


async def knock(visit: Visit) -> Response:
    """Send the template for what is held."""
    return await _step(visit, "handoff.knocked", lambda desk, reference, me: desk.knock(reference, me))


async def note(visit: Visit) -> Response:
    """For colleagues."""
    words = visit.form.get("words", "").strip()
    if not words:
        return visit.go(f"/console/handoffs/{visit.path('reference')}")
    return await _step(visit, "handoff.noted", lambda desk, reference, me: desk.note(reference, me, words))


async def transfer(visit: Visit) -> Response:
    """Hand on to a colleague who may have it."""
    to = _uuid(visit.form.get("to", ""))

    async def step(desk: Desk, reference: str, me: uuid.UUID) -> None:
        found = await reading.handoff(desk.session, reference, visit.staff)
        if found is None or to not in {one.id for one in await reading.colleagues(desk.session, found[0].place)}:
            raise NotThere
        await desk.transfer(reference, me, to)

    return await _step(visit, "handoff.transferred", step)


async def give_back(visit: Visit) -> Response:
    """Back to the queue."""
    return await _step(visit, "handoff.returned", lambda desk, reference, me: desk.give_back(reference, me))


async def release(visit: Visit) -> Response:
    """Back to the assistant, with a closing message or without."""
    words = visit.form.get("words", "")
    return await _step(visit, "handoff.released", lambda desk, reference, me: desk.release(reference, me, words))


# --- people


async def people(visit: Visit) -> Response:
    """A search by reference or telephone number."""
    return visit.show("people.html", words="", found=None, error="")


async def search(visit: Visit) -> Response:
    """Posted, so that no number stands in an address; counted, so that nobody tries them all."""
    vault, words = visit.console.database.vault, visit.form.get("words", "")[:200]
    async with visit.console.database.session() as session:
        # one after the other: of many at once no more are counted out than one by one
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(visit.staff.id), 0))))
        if await audit.lately(session, visit.staff.id, "people.searched", LATELY) >= SEARCHES:
            return visit.show("people.html", 429, words="", found=None, error="console.people.too_many")
        found = await reading.by_reference(session, words)
        by = "reference"
        if not found and visit.sees(Field.PHONE):
            found, by = await reading.by_phone(session, vault, words), "phone"
        found = [one for one in found if await reading.is_there(session, vault, one, visit.staff)]
        told: dict[str, str | int] = {"by": by, "found": len(found)}
        await audit.record(session, vault, visit.staff.id, "people.searched", found[0] if found else "", told)
        await session.commit()
    if len(found) == 1:
        return visit.go(f"/console/{found[0]}")
    return visit.show("people.html", words=words, found=found, error="")


# --- what coordinators see


async def dashboard(visit: Visit) -> Response:
    """The figures of a period, an office, a language, as plots with their tables."""
    board = await _board(visit, visit.request.query_params)
    await visit.note("dashboard.seen")
    rtl = visit.language == "ar"
    return visit.show(
        "board.html",
        chosen=board.filter,
        periods=list(figures.PERIODS),
        places=board.places,
        place=lambda one: _place(visit, board, one),
        figures=board.figures,
        draw=lambda figure: Markup(plots.drawn(figure, rtl, visit.say)),  # noqa: S704 (every word in it is escaped)
        hidden=HIDDEN,
    )


async def export_dashboard(visit: Visit) -> Response:
    """The same figures for a spreadsheet."""
    if not visit.staff.recently:
        return visit.go("/console/verify?next=/console/dashboard")
    board = await _board(visit, visit.form)
    await visit.note("dashboard.exported", figures=len(board.figures))
    return Response(
        "\ufeff" + figures.table(board.figures, visit.say),
        headers={
            "content-type": "text/csv; charset=utf-8",
            "content-disposition": 'attachment; filename="rafiq.csv"',
        },
    )


async def _board(visit: Visit, given: Mapping[str, str]) -> Board:
    return await figures.board(
        visit.console.database,
        visit.console.settings.rafiq_message_prices,
        given.get("period", ""),
        given.get("office", ""),
        given.get("language", ""),
        visit.staff.offices,
        datetime.now(UTC),
    )


def _place(visit: Visit, board: Board, one: str | None) -> str:
    if one is None:
        return visit.say("console.board.all")
    if one in board.names:
        return board.names[one][visit.language]
    return visit.say("console.board.office.none", country=i18n.country_name(one, visit.language))


# --- deliveries


async def deliveries(visit: Visit) -> Response:
    """What did not go: messages, those that people sent us too, and case events."""
    console = visit.console
    async with console.database.session() as session:
        dead = list(
            await session.scalars(
                select(CaseEvent).where(CaseEvent.status == "dead").order_by(CaseEvent.id).limit(STUCK)
            )
        )
        queued = await session.scalar(select(func.count()).where(CaseEvent.status == "queued"))
        disabled = await session.scalar(
            select(CaseEndpoint.disabled_at).where(CaseEndpoint.url == console.settings.case_url)
        )
    return visit.show(
        "deliveries.html",
        stuck=await overview.stuck(console.database, most=STUCK),
        received=await overview.set_aside(console.database, STUCK),
        unreachable=await overview.unreachable(console.database),
        dead=dead,
        queued=queued,
        disabled=disabled,
        most=STUCK,
        waited=lambda since: waited(visit, since),
    )


async def replay_message(visit: Visit) -> Response:
    """Try a message again."""
    number = visit.number()
    if await overview.replay(visit.console.database, [number]) == 0:
        raise NotThere
    await visit.note("message.replayed", str(number))
    return visit.go("/console/deliveries")


async def cancel_message(visit: Visit) -> Response:
    """Never send it."""
    number = visit.number()
    if await overview.cancel(visit.console.database, [number]) == 0:
        raise NotThere
    await visit.note("message.cancelled", str(number))
    return visit.go("/console/deliveries")


async def replay_received(visit: Visit) -> Response:
    """Work on what somebody wrote once more."""
    number = visit.number()
    if not await overview.take_again(visit.console.database, number):
        raise NotThere
    await visit.note("received.replayed", str(number))
    return visit.go("/console/deliveries")


async def replay_event(visit: Visit) -> Response:
    """Post a dead case event again."""
    event_id = _uuid(visit.path("id"))
    if await case_delivery.replay(visit.console.database, event_id) == 0:
        raise NotThere
    await visit.note("event.replayed", str(event_id))
    return visit.go("/console/deliveries")


async def enable_endpoint(visit: Visit) -> Response:
    """Post to the case backend again, which had said 410."""
    await case_delivery.enable(visit.console.database, visit.console.settings.case_url)
    await visit.note("endpoint.enabled")
    return visit.go("/console/deliveries")


# --- review of what was not understood


async def review(visit: Visit) -> Response:
    """Messages whose writers agreed to be learnt from, one after the other."""
    waiting = await learning.to_review(visit.console.database, REVIEWED)
    topics = [(topic, knowledge.question(topic, visit.language)) for topic in knowledge.topics()]
    await visit.note("review.seen", found=len(waiting))
    return visit.show("review.html", waiting=waiting, topics=topics, intents=learning.INTENTS, none=learning.NONE)


async def label(visit: Visit) -> Response:
    """What a message really meant."""
    right = visit.form.get("label", "")
    if right not in knowledge.topics() and right not in (learning.NONE, learning.UNUSABLE, *learning.INTENTS):
        raise NotThere
    if not await learning.reviewed(visit.console.database, visit.number(), right):
        raise NotThere
    await visit.note("review.labelled", visit.path("id"), label=right)
    return visit.go("/console/review")


async def export_review(visit: Visit) -> Response:
    """The reviewed messages as training examples, one JSON object a line."""
    if not visit.staff.recently:
        return visit.go("/console/verify?next=/console/review")
    examples = [one async for one in learning.export(visit.console.database) if one["reviewed"]]
    await visit.note("review.exported", found=len(examples))
    return Response(
        "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in examples),
        headers={
            "content-type": "application/x-ndjson; charset=utf-8",
            "content-disposition": 'attachment; filename="examples.jsonl"',
        },
    )


# --- the team


async def audit_page(visit: Visit) -> Response:
    """The last rows of the audit, and whether they fit each other; all of them are for `rafiq audit verify`, in a
    process that nobody waits for."""
    async with visit.console.database.session() as session:
        verdict = await audit.verify(session, visit.console.database.vault, last=VERIFIED)
        rows = await session.execute(
            select(AuditEntry, StaffMember.name)
            .outerjoin(StaffMember, StaffMember.id == AuditEntry.staff_id)
            .order_by(AuditEntry.id.desc())
            .limit(200)
        )
        entries = [(entry, name) for entry, name in rows]

    def did(action: str) -> str:
        text_id = f"console.audit.did.{action}"
        return visit.say(text_id) if i18n.has(text_id) else action  # of a release that wrote others

    return visit.show("audit.html", entries=entries, verdict=verdict, did=did)


async def staff(visit: Visit) -> Response:
    """The team."""
    async with visit.console.database.session() as session:
        members = list(await session.scalars(select(StaffMember).order_by(StaffMember.name)))
    return visit.show("staff.html", members=members)


async def stop_staff(visit: Visit) -> Response:
    """Sign somebody out for good."""
    if not visit.staff.recently:
        return visit.go("/console/verify?next=/console/staff")
    staff_id = _uuid(visit.path("id"))
    async with visit.console.database.session() as session:
        email = await session.scalar(select(StaffMember.email).where(StaffMember.id == staff_id))
    if email is None or staff_id == visit.staff.id:  # whoever stops themselves leaves nobody behind
        raise NotThere
    await accounts.stop(visit.console.database, visit.console.settings, email, visit.staff.id)
    return visit.go("/console/staff")


async def account(visit: Visit) -> Response:
    """One's own password and sessions."""
    return await _account(visit, "", "")


async def _account(visit: Visit, error: str, done: str, status: int = 200) -> Response:
    sessions = await accounts.sessions(visit.console.database, visit.staff.id, visit.console.limits)
    return visit.show("account.html", status, sessions=sessions, error=error, done=done)


async def change_password(visit: Visit) -> Response:
    """The old password and a code, then the new one."""
    error = await _verified(visit)
    if error:
        return await _account(visit, error, "", 403)
    try:
        await accounts.change_password(visit.console.database, visit.staff, visit.form.get("new", ""))
    except accounts.WeakPassword:
        return visit.renewed(await _account(visit, "console.account.weak", "", 400))
    return visit.renewed(await _account(visit, "", "console.account.changed"))


async def end_session(visit: Visit) -> Response:
    """End one of one's own sessions."""
    if not visit.staff.recently:
        return visit.prove("/console/account")
    if not await accounts.end(visit.console.database, visit.staff, _uuid(visit.path("id"))):
        raise NotThere
    return visit.go("/console/account")


def _uuid(given: str) -> uuid.UUID:
    try:
        return uuid.UUID(given)
    except ValueError:
        raise NotThere from None


HANDLERS: Mapping[tuple[str, str], Handler] = {
    ("GET", "/console/static/{name}"): static,
    ("GET", "/console/login"): login_form,
    ("POST", "/console/login"): login,
    ("POST", "/console/logout"): logout,
    ("GET", "/console/verify"): verify_form,
    ("POST", "/console/verify"): verify,
    ("GET", "/console"): inbox,
    ("GET", "/console/handoffs/list"): inbox_list,
    ("GET", "/console/live"): live,
    ("GET", "/console/handoffs/{reference}"): handoff,
    ("GET", "/console/handoffs/{reference}/thread"): thread,
    ("GET", "/console/handoffs/{reference}/live"): conversation_live,
    ("GET", "/console/handoffs/{reference}/media/{id}"): media,
    ("POST", "/console/handoffs/{reference}/take"): take,
    ("POST", "/console/handoffs/{reference}/reopen"): reopen,
    ("POST", "/console/handoffs/{reference}/reply"): reply,
    ("POST", "/console/handoffs/{reference}/file"): send_file,
    ("POST", "/console/handoffs/{reference}/knock"): knock,
    ("POST", "/console/handoffs/{reference}/note"): note,
    ("POST", "/console/handoffs/{reference}/transfer"): transfer,
    ("POST", "/console/handoffs/{reference}/give-back"): give_back,
    ("POST", "/console/handoffs/{reference}/release"): release,
    ("GET", "/console/requests/{reference}"): request,
    ("POST", "/console/requests/{reference}/returned"): returned,
    ("GET", "/console/people"): people,
    ("POST", "/console/people"): search,
    ("GET", "/console/dashboard"): dashboard,
    ("POST", "/console/dashboard/export"): export_dashboard,
    ("GET", "/console/deliveries"): deliveries,
    ("POST", "/console/deliveries/messages/{id}/replay"): replay_message,
    ("POST", "/console/deliveries/messages/{id}/cancel"): cancel_message,
    ("POST", "/console/deliveries/received/{id}/replay"): replay_received,
    ("POST", "/console/deliveries/events/{id}/replay"): replay_event,
    ("POST", "/console/deliveries/endpoint"): enable_endpoint,
    ("GET", "/console/review"): review,
    ("POST", "/console/review/export"): export_review,
    ("POST", "/console/review/{id}"): label,
    ("GET", "/console/texts"): wording.listing,
    ("GET", "/console/texts/{id}"): wording.one,
    ("POST", "/console/texts/{id}"): wording.publish,
    ("POST", "/console/texts/{id}/preview"): wording.preview,
    ("POST", "/console/texts/{id}/restore"): wording.restore,
    ("GET", "/console/settings"): settings.overview,
    ("GET", "/console/settings/offices/{id}"): settings.office,
    ("POST", "/console/settings/offices/{id}"): settings.save_office,
    ("POST", "/console/settings/offices/{id}/hours"): settings.save_hours,
    ("POST", "/console/settings/offices/{id}/counsellors"): settings.save_counsellor,
    ("POST", "/console/settings/closed"): settings.save_closed,
    ("POST", "/console/settings/duty/{id}"): settings.save_duty,
    ("POST", "/console/settings/numbers"): settings.save_numbers,
    ("POST", "/console/settings/rounds"): settings.save_rounds,
    ("POST", "/console/settings/quiet"): settings.save_quiet,
    ("POST", "/console/settings/emergency"): settings.save_number,
    ("POST", "/console/settings/emergency/remove"): settings.remove_number,
    ("GET", "/console/audit"): audit_page,
    ("GET", "/console/staff"): staff,
    ("POST", "/console/staff/{id}/stop"): stop_staff,
    ("GET", "/console/account"): account,
    ("POST", "/console/account/password"): change_password,
    ("POST", "/console/account/sessions/{id}/end"): end_session,
    **calendar.HANDLERS,
    **checkins.HANDLERS,
    **data.HANDLERS,
    **points.HANDLERS,
    **provider.HANDLERS,
}


def router(console: Console) -> APIRouter:
    """Every page of the console."""
    routes = APIRouter()
    for (method, path), handler in HANDLERS.items():
        routes.add_route(path, guarded(console, method, path, handler), methods=[method], include_in_schema=False)
    return routes
