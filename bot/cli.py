"""The command `rafiq`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

os.environ["PYTHONTZPATH"] = ""  # time zones from the tzdata package: the machine's may be wrong

import httpx
import typer

from bot import settings as configuration
from bot import supervisor
from bot.messages import LANGUAGES, ChannelDown, Language, SendError

if TYPE_CHECKING:
    from bot.console import accounts
    from bot.db.session import Database
    from bot.orientation.poster import Format, Size

Outcome = TypeVar("Outcome")

app = typer.Typer(
    help="Rafiq: an assistant for migrants on Telegram, WhatsApp and the web.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _note(line: str) -> None:
    typer.echo(line, err=True)


@app.command()
def run() -> None:
    """Start everything and keep it running until Ctrl-C."""
    asyncio.run(_run(configuration.load()))


async def _run(settings: configuration.Settings) -> None:
    if supervisor.running(settings) is not None:
        raise supervisor.StartError("Rafiq runs from this folder already: stop that one first")
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    stack = supervisor.Stack(settings, _note)
    starting = asyncio.create_task(stack.start())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return
        await starting
        with supervisor.announced(settings):
            typer.echo(f"Rafiq is ready.\n  web chat       {settings.own_url}/\n  terminal       rafiq chat")
            if settings.telegram_token is not None:
                typer.echo("  Telegram       connected")
            if settings.whatsapp_token is not None:
                typer.echo("  WhatsApp       listening at /whatsapp/webhook")
            typer.echo(f"  case {settings.case_system:10}{settings.case_url}")
            typer.echo(f"  logs           {settings.rafiq_var / 'log'}\nCtrl-C stops it.")
            await stop.wait()
    finally:
        stopping.cancel()
        _note("stopping")
        await stack.stop()


@app.command()
def chat(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, in and out.")] = False,
    user: Annotated[str, typer.Option(help="Who is talking: the same name goes on with the same conversation.")] = "",
    language: Annotated[str, typer.Option(help="fr, en or ar: the language to begin in.")] = "",
) -> None:
    """Talk to the assistant in this terminal; beside a running `make run`, or alone.

    With --json, in: {"text": "..."} or {"press": "<button id or title>"}. Out: each message of the bot, then
    {"turn": n}; {"error": "..."} alone for a line that is neither.
    """
    if language and language not in LANGUAGES:
        raise configuration.SettingsError(f"--language is {language}: it must be one of {', '.join(LANGUAGES)}")
    from bot.channels.terminal import LONGEST_USER

    if len(user) > LONGEST_USER:
        raise configuration.SettingsError(f"--user has {len(user)} characters: {LONGEST_USER} are the most")
    _until_interrupted(_chat(configuration.load(), as_json, user or f"terminal-{uuid.uuid4()}", language))


def _until_interrupted(talk: Coroutine[Any, Any, None]) -> None:
    """Read lines and answer them until they end, or Ctrl-C."""
    from bot.terminal_client import speak_utf8

    speak_utf8()
    try:
        asyncio.run(talk)
    except KeyboardInterrupt:
        sys.stdout.flush()
        os._exit(130)  # a thread waits for the next line still, and would hold up any other end


async def _chat(settings: configuration.Settings, as_json: bool, user: str, language: str) -> None:
    url = supervisor.running(settings)
    if url is not None:
        await _talk(url, settings.rafiq_var / "log", settings.local_token, as_json, user, language)
        return
    async with supervisor.own_stack(settings, _note, ("rasa", "service", "receiver")) as stack:
        await _talk(stack.settings.own_url, settings.rafiq_var / "log", settings.local_token, as_json, user, language)


async def _talk(url: str, log: Path, token: str, as_json: bool, user: str, language: str) -> None:
    from bot.terminal_client import NoAnswer, Terminal, lines_of

    async with httpx.AsyncClient(
        base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=90, trust_env=False
    ) as client:
        try:
            await Terminal(client, user, language, as_json).run(lines_of(sys.stdin), sys.stdout)
        except NoAnswer as why:
            raise supervisor.StartError(f"{why}: look into {log}") from None


@app.command()
def train(
    missing: Annotated[bool, typer.Option("--missing", help="Only what is not trained yet.")] = False,
) -> None:
    """Train the model again, also when nothing changed."""
    settings = configuration.load()
    supervisor.ensure_models(settings, _note, force=not missing)


understanding = typer.Typer(rich_markup_mode=None)
app.add_typer(understanding, name="understand")


@understanding.callback(invoke_without_command=True)
def understand(context: typer.Context) -> None:
    """Say what each line of the standard input means, one JSON object a line.

    A line is a text, or a JSON object with `text`. Out: text, language, label, confidence, ranking, cue, entities.
    """
    if context.invoked_subcommand is None:
        _until_interrupted(_understand(configuration.load()))


@understanding.command("export-review")
def export_review() -> None:
    """Messages that were not understood and what their writers said they meant, one JSON object a line, for review.

    Only those whose writers agreed. Out: text, label (a topic, or none_of_these; `reviewed` in the console or not),
    language, offered, at.
    """
    from bot.journeys import learning

    async def examples(database: Any) -> list[dict[str, Any]]:
        return [example async for example in learning.export(database)]

    for example in _in_database(configuration.load(), examples):
        typer.echo(json.dumps(example, ensure_ascii=False))


async def _understand(settings: configuration.Settings) -> None:
    from bot.assistant.language import LanguageModel
    from bot.assistant.rasa import Rasa, RasaDown
    from bot.assistant.triage import Triage
    from bot.assistant.understand import Reader
    from bot.terminal_client import lines_of
    from bot.training import Models

    async def read(rasa_url: str) -> None:
        models = Models.of(settings)
        rasa = Rasa(rasa_url, settings.local_token, 120)
        reader = Reader(LanguageModel.load(models.language), Triage.load(models.cues), rasa)
        try:
            await reader.run(lines_of(sys.stdin), sys.stdout, at_once=not sys.stdin.seekable())
        except RasaDown as why:
            log = settings.rafiq_var / "log"
            raise supervisor.StartError(f"Rasa does not answer ({why}): look into {log}") from None
        finally:
            await rasa.close()

    if supervisor.running(settings) is not None:
        await read(settings.rasa_url)
        return
    async with supervisor.own_stack(settings, _note, ("rasa",)) as stack:
        await read(stack.settings.rasa_url)


@app.command("read-value")
def read_value() -> None:
    """Read a value from each line of JSON: kind (phone, country, age_group, yes_no, date_time), lang, text.

    A line that cannot be read is answered with the value null and an `error`, and the exit code is 1.
    """
    from bot.assistant.values.command import read_lines

    wrong = False
    for answer in read_lines(sys.stdin):
        typer.echo(json.dumps(answer, ensure_ascii=False))
        wrong = wrong or "error" in answer
    if wrong:
        raise typer.Exit(1)


def _objects() -> Iterator[dict[str, Any]]:
    for line in sys.stdin:
        if line.strip():
            yield json.loads(line)


@app.command()
def topics(
    html: Annotated[str, typer.Option(help="Write one page a language into this folder instead.")] = "",
) -> None:
    """The knowledge base as a table, or as pages for a content reviewer."""
    from bot import topics as reading

    if html:
        for path in reading.write_pages(Path(html)):
            typer.echo(path)
        return
    for line in reading.table():
        typer.echo(line)


@app.command("case-receiver")
def case_receiver() -> None:
    """A small case backend to try the webhook with: verifies, stores once, prints."""
    from bot.cases import receiver

    settings = configuration.load()
    supervisor.check_free(settings.case_receiver_port, "CASE_RECEIVER_PORT")
    receiver.run("127.0.0.1", settings.case_receiver_port, settings.case_secrets, settings.rafiq_var / "case-receiver")


@app.command("case-answer")
def case_answer(
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="request.acknowledged, interview.proposed, …")],
    ref: Annotated[str, typer.Argument(help="The reference: AV-…, H-… or RV-…")],
    data: Annotated[list[str] | None, typer.Argument(help="What else it says, as name=value.")] = None,
) -> None:
    """Answer as a case backend does, signed, to try it out: docs/case-events/answers/ says what can be said."""
    from bot.cases import answers, webhook

    settings = configuration.load()
    url = supervisor.running(settings) or settings.own_url
    if not settings.case_answer_keys:
        raise configuration.SettingsError("CASE_ANSWER_SECRETS is missing: it signs the answers")
    given = {"ref": ref, **{name: value for name, _, value in (one.partition("=") for one in data or [])}}
    moment = datetime.now(UTC).isoformat()
    content = webhook.body({"schema": answers.SCHEMA, "type": type_, "occurred_at": moment, "data": given})
    headers = webhook.headers(settings.case_answer_keys[:1], str(uuid.uuid4()), content)
    try:
        said = httpx.post(url + answers.PATH, content=content, headers=headers, timeout=20, trust_env=False)
    except httpx.HTTPError as error:
        raise supervisor.StartError(f"no answer from {url} ({type(error).__name__}): run `make run` first") from None
    typer.echo(f"{said.status_code} {said.text}".strip())
    raise typer.Exit(0 if said.is_success else 1)


@app.command("case-replay")
def case_replay(event: Annotated[str, typer.Argument(help="An event's id, or `all`.")] = "all") -> None:
    """Post again what the case backend did not take: dead letters, and the queue of an endpoint that said 410."""
    from bot.cases import delivery

    settings = configuration.load()
    try:
        chosen = None if event == "all" else uuid.UUID(event)
    except ValueError:
        raise configuration.SettingsError(f"{event} is no event: give the id of one, or `all`") from None

    async def replay(database: Database) -> int:
        await delivery.enable(database, settings.case_url)
        return await delivery.replay(database, chosen)

    typer.echo(f"{_in_database(settings, replay)} events queued again")


def _in_database(settings: configuration.Settings, act: Callable[[Database], Awaitable[Outcome]]) -> Outcome:
    """What this gives, done in the database of these settings."""
    from bot.conversation.wording import Wording
    from bot.db import keys
    from bot.db.session import connect

    async def run() -> Outcome:
        url = supervisor.open_database(settings, _note)
        database = connect(url, keys.vault(url, settings.master_keys), 2)
        try:
            await Wording(database).read()  # a command may write to people
            return await act(database)
        finally:
            await database.close()

    return asyncio.run(run())


messages = typer.Typer(help="Messages that did not go: held, failed; and how many went.", no_args_is_help=True)
app.add_typer(messages, name="outbox")
Which = Annotated[list[str], typer.Argument(help="Numbers of messages as `list` shows them, or `all`.")]


@messages.command("list")
def list_stuck() -> None:
    """Messages that wait for something or were given up, and people who cannot be reached. Nothing that was written."""
    from bot.conversation import overview

    settings = configuration.load()
    for one in _in_database(settings, overview.stuck):
        kind = "unasked" if one.unasked else "reply"
        line = (one.outbox_id, one.status, one.reason, one.channel, kind, f"since {one.since:%Y-%m-%d %H:%M} UTC")
        typer.echo("\t".join(map(str, line)))
    for conversation_id, channel, since in _in_database(settings, overview.unreachable):
        typer.echo(f"conversation {conversation_id}\tunreachable\t{channel}\tsince {since:%Y-%m-%d %H:%M} UTC")


@messages.command("replay")
def replay_messages(which: Which) -> None:
    """Try messages again; `all`: those that failed."""
    from bot.conversation import overview

    chosen = _numbers(which)
    changed = _in_database(configuration.load(), lambda database: overview.replay(database, chosen))
    typer.echo(f"{changed} messages queued again")


@messages.command("cancel")
def cancel_messages(which: Which) -> None:
    """Never send messages that are held or failed."""
    from bot.conversation import overview

    chosen = _numbers(which)
    changed = _in_database(configuration.load(), lambda database: overview.cancel(database, chosen))
    typer.echo(f"{changed} messages cancelled")


@messages.command("counts")
def count_messages(days: Annotated[int, typer.Option(help="How many days back.")] = 30) -> None:
    """How many messages each platform took a day, by kind, and what they cost by RAFIQ_MESSAGE_PRICES."""
    from bot.conversation import overview

    settings = configuration.load()
    prices = configuration.reading_prices(settings.rafiq_message_prices or "")
    for one in _in_database(settings, lambda database: overview.counts(database, days)):
        price = prices.get((one.channel, one.kind))
        cost = f"about {price * one.messages}" if price is not None else "no price set"
        typer.echo(f"{one.day}\t{one.channel}\t{one.kind}\t{one.messages}\t{cost}")


slots_app = typer.Typer(help="Times at which interviews can be booked.", no_args_is_help=True)
app.add_typer(slots_app, name="slots")
Since = Annotated[str, typer.Option("--from", help="The first day, like 2026-11-30; today when left out.")]
Until = Annotated[str, typer.Option(help="The last day; four weeks after the first when left out.")]
Where = Annotated[str, typer.Option(help="One office by its name in the list of offices.")]


@slots_app.command("load")
def load_offices(
    file: Annotated[str, typer.Argument(help="A file like knowledge/offices.yml, which is taken when left out.")] = "",
) -> None:
    """Write offices, hours, counsellors and closed days from a file over those of the database."""
    from bot.appointments import offices

    path = Path(file) if file else offices.SEED

    async def load(database: Database) -> int:
        async with database.session() as session:
            number = await offices.load(session, path)
            await session.commit()
            return number

    offices.read(path)
    typer.echo(f"{_in_database(configuration.load(), load)} offices loaded")


@slots_app.command("generate")
def generate_slots(since: Since = "", until: Until = "", office: Where = "") -> None:
    """Make the times that can be booked, from the offices' hours; what is there already stays."""
    from bot.appointments import slots

    first, last = _days(since, until)

    async def generate(database: Database) -> int:
        async with database.session() as session:
            number = await slots.generate(session, first, last, office or None)
            await session.commit()
            return number

    typer.echo(f"{_in_database(configuration.load(), generate)} times made, {first} to {last}")


@slots_app.command("close")
def close_slots(
    office: Annotated[str, typer.Argument(help="The office by its name in the list of offices.")],
    since: Since = "",
    until: Until = "",
) -> None:
    """Let nobody book these days any more (one day without --until); names the appointments that are there already."""
    from bot.appointments import slots

    today = datetime.now(UTC).date().isoformat()
    first, last = _days(since or today, until or since or today)

    async def close(database: Database) -> tuple[int, list[str]]:
        async with database.session() as session:
            outcome = await slots.close(session, office, first, last)
            await session.commit()
            return outcome

    number, booked = _in_database(configuration.load(), close)
    typer.echo(f"{number} times closed, {first} to {last}")
    for reference in booked:
        typer.echo(f"{reference}\tstill stands: `rafiq interviews cancel {reference}` tells the person")


@slots_app.command("list")
def list_slots() -> None:
    """The times to come, with the appointment that each one has. Nothing about whom."""
    from bot.appointments import slots

    async def listing(database: Database) -> Sequence[Any]:
        async with database.session() as session:
            return await slots.listing(session, datetime.now(UTC))

    for row in _in_database(configuration.load(), listing):
        state = row.reference or ("free" if row.status == "open" else "closed")
        typer.echo("\t".join((row.wall.replace("T", " "), row.zone, row.office_id, row.counsellor_id, state)))


def _days(since: str, until: str) -> tuple[date, date]:
    try:
        first = date.fromisoformat(since) if since else datetime.now(UTC).date()
        last = date.fromisoformat(until) if until else first + timedelta(days=28)
    except ValueError:
        raise configuration.SettingsError("days are written like 2026-11-30") from None
    if not first <= last <= first + timedelta(days=400):
        raise configuration.SettingsError(f"{first} to {last} is no span of days, or longer than 400")
    return first, last


interviews = typer.Typer(help="Interviews: what the team does about them.", no_args_is_help=True)
app.add_typer(interviews, name="interviews")
Reference = Annotated[str, typer.Argument(help="The appointment's number, like RV-7K3QX.")]


@interviews.command("list")
def list_interviews() -> None:
    """Interviews that are wished for or to come. Nothing about whom: the case system knows."""
    from bot.appointments import bookings

    async def listing(database: Database) -> Sequence[Any]:
        async with database.session() as session:
            return await bookings.listing(session, (*bookings.OPEN, "past"))

    for row in _in_database(configuration.load(), listing):
        wall = (row.wall or "no time yet").replace("T", " ")
        typer.echo("\t".join((row.reference, row.status, row.office_id or "", wall, row.zone or "")))


@interviews.command("confirm")
def confirm_interview(
    reference: Reference,
    at: Annotated[str, typer.Argument(help="Day and time on the office's clock, like 2026-11-30T10:00.")],
) -> None:
    """Fix the time of an interview that a person wished for, and tell them."""
    from bot.appointments import times
    from bot.conversation import appointments

    try:
        datetime.strptime(at, times.WALL)  # noqa: DTZ007 (a wall time)
    except ValueError:
        raise configuration.SettingsError(f"{at} is no time: write it like 2026-11-30T10:00") from None
    _of_an_interview(lambda database: appointments.agree(database, reference, at))


@interviews.command("cancel")
def cancel_interview(reference: Reference) -> None:
    """The team cannot hold it: the person is told, and offered another time."""
    from bot.conversation import appointments

    _of_an_interview(lambda database: appointments.cancel(database, reference))


@interviews.command("done")
def interview_done(reference: Reference) -> None:
    """It took place."""
    from bot.conversation import appointments

    _of_an_interview(lambda database: appointments.done(database, reference))


@interviews.command("missed")
def interview_missed(reference: Reference) -> None:
    """The person did not come: another time is offered once, kindly; then a person is to write to them."""
    from bot.conversation import appointments

    _of_an_interview(lambda database: appointments.missed(database, reference))


def _of_an_interview(act: Callable[[Database], Awaitable[object]]) -> None:
    from bot.appointments.bookings import NotPossible

    try:
        told = _in_database(configuration.load(), act)
    except NotPossible as why:
        raise configuration.SettingsError(str(why)) from None
    unwanted = "done, but the person is not told: they want no messages, or cannot be reached"
    typer.echo(unwanted if told is False else "done")


@app.command("returned")
def returned(
    reference: Annotated[str, typer.Argument(help="The request's number, like AV-7K3Q.")],
    on: Annotated[str, typer.Argument(help="The day of return, like 2026-11-20.")],
    country: Annotated[str, typer.Option(help="Where they live now, like SN: whose clock counts.")] = "",
) -> None:
    """A person is back: they are invited to check-ins, enrolled only by their own yes. Again: the day is corrected."""
    from bot.cases.answers import Answer
    from bot.checkins import schedule
    from bot.conversation import answers

    try:
        day = date.fromisoformat(on)
    except ValueError:
        raise configuration.SettingsError(f"{on} is no day: write it like 2026-11-20") from None
    if not schedule.believable(day, datetime.now(UTC)):
        raise configuration.SettingsError(f"{on} is still to come, or years ago: a return is recorded when it is over")
    data = {"ref": reference, "returned_on": day.isoformat(), "country": country}
    answer = Answer("return.recorded", reference, datetime.now(UTC), data)
    told = _in_database(configuration.load(), lambda database: answers.take(database, str(uuid.uuid4()), answer))
    if told is None:
        raise configuration.SettingsError(f"there is no request {reference}")
    not_invited = "asked already (another day is a correction then), said no, stopped, a child, or not to be reached"
    typer.echo("invited" if told else f"not invited: {not_invited}")


@app.command("known")
def known(handoff: Annotated[str, typer.Argument(help="The handoff's number, like H-7K3QX.")]) -> None:
    """The team made sure who somebody is: what is personal is shown to them again."""
    from bot.console import audit
    from bot.conversation import knowing

    async def know(database: Database) -> bool:
        found = await knowing.by_the_team(database, handoff)
        async with database.session() as session:
            await audit.record(session, database.vault, None, "person.known", handoff, {"doubted": int(found)})
            await session.commit()
        return found

    doubted = _in_database(configuration.load(), know)
    typer.echo("known again" if doubted else "there is no such handoff, or nobody doubted it")


def _numbers(which: list[str]) -> list[int] | None:
    if which == ["all"]:
        return None
    wrong = [one for one in which if not one.isdecimal()]
    if wrong:
        raise configuration.SettingsError(f"{wrong[0]} is no message: give numbers, or `all`")
    return [int(one) for one in which]


team = typer.Typer(
    help="The team: who takes conversations over (docs/handoff.md) and may sign in to the console.",
    no_args_is_help=True,
)
app.add_typer(team, name="staff")
Several = Annotated[list[str] | None, typer.Option(help="May be given several times; without it: all of them.")]


@team.command("add")
def staff_add(
    name: Annotated[str, typer.Argument(help="As people in a conversation read it.")],
    email: Annotated[str, typer.Argument(help="Where notifications go.")],
    role: Annotated[str, typer.Option(help="orientation, counsellor, supervisor, coordinator, administrator")] = (
        "counsellor"
    ),
    language: Several = None,
    office: Several = None,
    priority: Several = None,
    hours: Annotated[str | None, typer.Option(help="On duty, as RAFIQ_READING_HOURS; without it those.")] = None,
) -> None:
    """Add somebody to the team: asks for a password and prints what their authenticator app needs."""
    from bot.console import accounts
    from bot.conversation import staff

    settings = configuration.load()
    for kind, known, chosen in (
        ("role", staff.ALL_ROLES, [role]),
        ("language", LANGUAGES, language or []),
        ("priority", ("P0", "P1", "P2"), priority or []),
    ):
        wrong = [one for one in chosen if one not in known]
        if wrong:
            raise configuration.SettingsError(f"{wrong[0]} is no {kind}: {', '.join(known)}")

    if not staff.is_address(email):
        raise configuration.SettingsError(f"{email!r} is no e-mail address")
    if not name.strip() or not name.isprintable():
        raise configuration.SettingsError(f"{name!r} is no name: people in a conversation read it")
    password = _new_password(name, email)

    async def add(database: Database) -> accounts.Enrolment | None:
        async with database.session() as session:
            added = await staff.add(
                session, settings, name, email, role,
                languages=language or (), offices=office or (), priorities=priority or (), hours=hours,
            )  # fmt: skip
            await session.commit()
        return await accounts.enrol(database, email, password) if added is not None else None

    try:
        enrolment = _in_database(settings, add)
    except ValueError as error:
        raise configuration.SettingsError(f"--hours is wrong: {error}") from None
    if enrolment is None:
        raise configuration.SettingsError(f"{email} is in the team already: see rafiq staff renew")
    _show(enrolment, settings)


def _new_password(name: str, email: str) -> str:
    from bot.console import accounts

    password = str(typer.prompt("Password for the console", hide_input=True, confirmation_prompt=True))
    try:
        accounts.check_password(password, name=name, email=email)
    except accounts.WeakPassword:
        raise configuration.SettingsError(
            f"this password is weak: {accounts.SHORTEST} to {accounts.LONGEST} characters, not the name or address,"
            " no common password and nothing that is soon guessed"
        ) from None
    return password


def _show(enrolment: accounts.Enrolment, settings: configuration.Settings) -> None:
    import segno

    segno.make(enrolment.uri, error="m").terminal(sys.stdout, compact=True)
    typer.echo(f"Scan this with an authenticator app, or type in: {enrolment.secret}")
    typer.echo(f"Then sign in at {settings.rafiq_public_url or settings.own_url}/console")


@team.command("renew")
def staff_renew(email: Annotated[str, typer.Argument(help="Of whom in the team.")]) -> None:
    """Give somebody a new password and secret, also who was stopped; their sessions end."""
    from bot.console import accounts

    password, settings = _new_password("", email), configuration.load()
    try:
        enrolment = _in_database(settings, lambda database: accounts.enrol(database, email, password))
    except accounts.WeakPassword:
        raise configuration.SettingsError("this password is weak: it is made of their name or address") from None
    if enrolment is None:
        raise configuration.SettingsError(f"{email} is nobody of the team")
    _show(enrolment, settings)


@team.command("stop")
def staff_stop(email: Annotated[str, typer.Argument(help="Of whom in the team.")]) -> None:
    """Let somebody in no more, and sign them out now."""
    from bot.console import accounts

    settings = configuration.load()
    if not _in_database(settings, lambda database: accounts.stop(database, settings, email, None)):
        raise configuration.SettingsError(f"{email} is nobody of the team")
    typer.echo(f"{email} is signed out and may sign in no more; the chat is linked no more")


@team.command("bind")
def staff_bind(
    email: Annotated[str, typer.Argument(help="Of whom in the team.")],
    subject: Annotated[str, typer.Argument(help="What the provider calls them: `sub` in its tokens.")],
) -> None:
    """Tell whom the OpenID Connect provider means, where it vouches for no e-mail address."""
    from bot.console import accounts

    settings = configuration.load()
    issuer = settings.rafiq_oidc_issuer
    if issuer is None:
        raise configuration.SettingsError("RAFIQ_OIDC_ISSUER is missing: there is no provider. See docs/console.md")
    if not _in_database(settings, lambda database: accounts.bind(database, email, issuer, subject)):
        raise configuration.SettingsError(f"{email} is nobody of the team, or the provider's {subject} is somebody")
    typer.echo(f"{email} signs in as the provider's {subject}")


@team.command("list")
def staff_list() -> None:
    """Who is in the team, and whether their chat is linked."""
    from sqlalchemy import select

    from bot.db.models import StaffMember

    async def everybody(database: Database) -> list[StaffMember]:
        async with database.session() as session:
            return list(await session.scalars(select(StaffMember).order_by(StaffMember.created_at)))

    for one in _in_database(configuration.load(), everybody):
        state = "active" if one.active else "not active"
        chat = "chat linked" if one.conversation_id is not None else "no chat"
        scope = [" ".join(map(str, several)) or "all" for several in (one.languages, one.offices, one.priorities)]
        typer.echo("\t".join((one.name, one.email, one.role, *scope, one.duty or "reading hours", chat, state)))


@team.command("link")
def staff_link(email: Annotated[str, typer.Argument(help="Of whom in the team.")]) -> None:
    """Print a code that links their Telegram chat: they send it to the bot once, within a day."""
    from bot.console import audit
    from bot.conversation import staff

    settings = configuration.load()

    async def make(database: Database) -> str | None:
        async with database.session() as session:
            code = await staff.link_code(session, database.vault, email)
            if code is not None:
                member = await staff.find(session, email)
                await audit.record(session, database.vault, None, "staff.code", str(member))
            await session.commit()
            return code

    code = _in_database(settings, make)
    if code is None:
        raise configuration.SettingsError(f"{email} is nobody of the team")
    typer.echo(f"/start {code}")


auditing = typer.Typer(help="Who saw, changed and signed in to what.", no_args_is_help=True)
app.add_typer(auditing, name="audit")


@auditing.command("verify")
def verify_audit(
    link: Annotated[str, typer.Option(help="The last link that you noted before: it must be in the chain.")] = "",
) -> None:
    """Whether no row of the audit was changed, added in between or taken out (status 1); prints its last link."""
    from bot.console import audit

    async def verify(database: Database) -> audit.Verdict:
        async with database.session() as session:
            return await audit.verify(session, database.vault, link)

    verdict = _in_database(configuration.load(), verify)
    if verdict.broken is not None:
        typer.echo(f"row {verdict.broken} does not fit: the audit was changed there")
    elif not verdict.found:
        typer.echo(f"{verdict.rows} rows fit, but the link you noted is not among them: rows were taken off the end")
    else:
        typer.echo(f"{verdict.rows} rows, whole. The last link: {verdict.last}")
    raise typer.Exit(0 if verdict.broken is None and verdict.found else 1)


wording = typer.Typer(help="Texts that the team changed in the console.", no_args_is_help=True)
app.add_typer(wording, name="texts")


@wording.command("list")
def list_texts() -> None:
    """What is said otherwise than the project has it, and whether the project changed it too since."""
    from bot.conversation import wording as room

    async def listing(database: Database) -> list[room.Published]:
        async with database.session() as session:
            return await room.published(session)

    for one in _in_database(configuration.load(), listing):
        since = "the project changed it too" if one.overtaken else "changed here"
        state = since if one.said else "not said: its placeholders are no longer those of the project"
        typer.echo("\t".join((one.text_id, one.language, state)))


@wording.command("export")
def export_texts(
    to: Annotated[str, typer.Option(help="A folder; the project's own locales when left out.")] = "",
) -> None:
    """Write what the team published into .po files, for the repository; nothing else in them changes."""
    from bot.conversation import wording as room
    from bot.i18n import LOCALES

    async def listing(database: Database) -> list[room.Published]:
        async with database.session() as session:
            return await room.published(session)

    for path in room.export(_in_database(configuration.load(), listing), Path(to) if to else LOCALES):
        typer.echo(str(path))


telegram = typer.Typer(help="The bot's side at Telegram.", no_args_is_help=True)
app.add_typer(telegram, name="telegram")


@telegram.command("setup")
def set_up_telegram(
    picture: Annotated[Path | None, typer.Option(help="A JPEG of your own; a neutral one when left out.")] = None,
) -> None:
    """Set the webhook with its secret, the bot's neutral name and picture, and what it says of itself and offers, in
    three languages.
    """
    from bot.channels.telegram import Telegram, neutral_picture

    settings = configuration.load()
    try:
        shown = picture.read_bytes() if picture is not None else neutral_picture()
    except OSError as error:
        raise configuration.SettingsError(f"{picture} cannot be read ({type(error).__name__})") from None
    public = settings.rafiq_public_url if settings.telegram_webhook_secret is not None else None

    async def set_up() -> str:
        channel = Telegram.from_settings(settings)
        try:
            await channel.set_profile()
            if public is not None:
                await channel.set_webhook(public)
            try:
                await channel.set_picture(shown)
            except SendError as error:  # everything else is set
                return f"the picture was not taken ({error}): send one to @BotFather with /setuserpic"
            return "the picture is set"
        finally:
            await channel.close()

    try:
        of_picture = asyncio.run(set_up())
    except SendError as error:
        why = "is TELEGRAM_TOKEN right?" if isinstance(error, ChannelDown) else "try again later"
        raise configuration.SettingsError(f"Telegram is not set up: {error}; {why}") from None
    typer.echo("name, descriptions and commands are set, in three languages")
    typer.echo(of_picture)
    if public is not None:
        typer.echo(f"webhook set: {public}/telegram/webhook")
    else:
        typer.echo("no webhook: it needs RAFIQ_PUBLIC_URL and TELEGRAM_WEBHOOK_SECRET; until then we ask for messages")


whatsapp = typer.Typer(help="What Meta has to know of our WhatsApp.", no_args_is_help=True)
app.add_typer(whatsapp, name="whatsapp")


@whatsapp.command("templates")
def whatsapp_templates() -> None:
    """Print the templates to submit to Meta, as JSON; with a token, say how Meta's differ from them (status 1)."""
    from bot.channels import whatsapp_templates as templates
    from bot.channels.whatsapp import versioned

    settings = configuration.load()
    typer.echo(json.dumps(templates.submissions(), ensure_ascii=False, indent=2))
    if settings.whatsapp_token is None or settings.whatsapp_account_id is None:
        _note("To compare with what Meta approved, set WHATSAPP_TOKEN and WHATSAPP_ACCOUNT_ID.")
        return
    try:
        approved = templates.fetch(
            f"{versioned(settings.whatsapp_api_url)}/{settings.whatsapp_account_id}/message_templates",
            settings.whatsapp_token.get_secret_value(),
        )
    except templates.NotFetched as error:
        raise configuration.SettingsError(f"Meta's templates were not given: {error}") from None
    differences = list(templates.differences(approved))
    for line in differences:
        _note(line)
    _note(f"templates: {len(differences)} differences")
    raise typer.Exit(1 if differences else 0)


points = typer.Typer(help="Orientation points: whose posters bring people to Rafiq.", no_args_is_help=True)
app.add_typer(points, name="points")
Point = Annotated[int, typer.Argument(help="The point's number, as `rafiq points list` shows it.")]


@points.command("add")
def add_point(
    name: Annotated[str, typer.Argument(help="What staff call it. It stands on no poster.")],
    city: Annotated[str, typer.Option(help="Where it is.")],
    languages: Annotated[str, typer.Option(help="What is spoken there: fr, en, ar, or some of them.")] = "fr,en,ar",
    notes: Annotated[str, typer.Option(help="When it is open, for staff.")] = "",
) -> None:
    """Note a new point; print its number."""
    from bot.orientation import points as orientation

    spoken = _languages(languages)
    if not name.strip() or not city.strip():
        raise configuration.SettingsError("a point needs a name and a --city")
    point = _in_database(configuration.load(), lambda database: orientation.add(database, name, city, spoken, notes))
    typer.echo(f"{point.id}")


@points.command("list")
def list_points() -> None:
    """All points: number, active or revoked, name, city, languages, notes."""
    from bot.orientation import points as orientation

    for one in _in_database(configuration.load(), orientation.known):
        state = "active" if one.revoked_at is None else f"revoked {one.revoked_at:%Y-%m-%d}"
        typer.echo("\t".join((str(one.id), state, one.name, one.city, ",".join(one.languages), one.notes)))


@points.command("revoke")
def revoke_point(point: Point) -> None:
    """Its posters begin a conversation like any other from now on. For new ones, add the point again."""
    from bot.orientation import points as orientation

    if not _in_database(configuration.load(), lambda database: orientation.revoke(database, point)):
        raise configuration.SettingsError(f"{point} is no active point: see `rafiq points list`")
    typer.echo(f"point {point} is revoked")


@app.command()
def poster(
    point: Point,
    size: Annotated[str, typer.Option(help="a4 or a6.")] = "a4",
    languages: Annotated[str, typer.Option(help="One of fr, en, ar, or several: fr,en,ar. Else the point's.")] = "",
    form: Annotated[str, typer.Option("--format", help="pdf or png.")] = "pdf",
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder to write into.")] = Path(),
) -> None:
    """Draw a point's poster with its QR codes (TELEGRAM_USERNAME, WHATSAPP_NUMBER); print the file's path."""
    from bot.orientation import points as orientation
    from bot.orientation import poster as drawing

    settings = configuration.load()
    for given, option, known in ((size, "--size", drawing.SIZES), (form, "--format", drawing.FORMATS)):
        if given not in known:
            raise configuration.SettingsError(f"{option} is {given}: it must be one of {', '.join(known)}")
    wanted = _languages(languages) if languages else None

    async def find(database: Database) -> tuple[Any, Any]:
        return await orientation.find(database, point), database.vault

    found, vault = _in_database(settings, find)
    if found is None or found.revoked_at is not None:
        raise configuration.SettingsError(f"{point} is no active point: see `rafiq points list`")
    spoken = wanted or _languages(",".join(found.languages))
    codes = drawing.codes(settings, vault, found.code, spoken[0])
    path = out / f"rafiq-{point}-{size}-{'-'.join(spoken)}.{form}"
    out.mkdir(parents=True, exist_ok=True)
    path.write_bytes(drawing.draw(codes, spoken, cast("Size", size), cast("Format", form)))
    typer.echo(path)


@app.command()
def report(
    first: Annotated[str, typer.Option("--from", help="The first month: 2026-09. Else the same as --to.")] = "",
    last: Annotated[str, typer.Option("--to", help="The last month, included. Else this month.")] = "",
) -> None:
    """How many came by each point, talked, made a request, were proposed an interview: CSV, in tens, none under 10."""
    from bot.orientation import report as counting

    until = _month("--to", last or f"{datetime.now(UTC):%Y-%m}")
    since = _month("--from", first) if first else until
    rows = _in_database(configuration.load(), lambda database: counting.funnel(database, since, until))
    typer.echo(counting.table(rows), nl=False)


def _month(option: str, given: str) -> tuple[int, int]:
    try:
        read = datetime.strptime(given, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise configuration.SettingsError(f"{option} is {given}: write a month as 2026-09") from None
    return read.year, read.month


def _languages(given: str) -> list[Language]:
    named = [one.strip() for one in given.split(",")]
    wrong = [one for one in named if one not in LANGUAGES]
    if wrong or len(set(named)) != len(named):
        raise configuration.SettingsError(f"--languages is {given}: write fr, en, ar, or some of them: fr,ar")
    return cast("list[Language]", named)


keys_app = typer.Typer(help="The master key, which wraps the keys of what people write.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")


@keys_app.command("rotate")
def rotate_keys() -> None:
    """Wrap every key by the current master key; docs/privacy.md says what to do before and after.

    Without RAFIQ_MASTER_KEY a new one is made, and the old one is gone at the end. Stopped in the middle, run it again.
    """
    from bot.db import keys

    settings = configuration.load()
    ours = settings.rafiq_master_key is None and settings.database_url is None
    if ours:
        if supervisor.running(settings) is not None:
            raise supervisor.StartError("stop Rafiq first: what runs does not know the new key")
        old = settings.master_keys  # makes the file where there is none
        keys.begin(settings.master_key_file)
    else:
        old = settings.master_keys[1:]
    url = supervisor.open_database(settings, _note)
    typer.echo(f"{keys.rotate(url, keys.vault(url, settings.master_keys))} keys are wrapped anew")
    if ours:
        keys.end(settings.master_key_file)
        typer.echo(f"the new master key is in {settings.master_key_file}: keep a copy apart from the database's")
    elif old:
        typer.echo("the first key of RAFIQ_MASTER_KEY wraps everything: take the others out, and start Rafiq again")
    else:
        typer.echo(
            "RAFIQ_MASTER_KEY is one key: to change it, put a new one before it, start Rafiq again, and run this"
        )


@app.command()
def demo(
    remove: Annotated[bool, typer.Option("--remove", help="Take the invented people away again.")] = False,
    seed: Annotated[int, typer.Option(help="Another seed, another month.")] = 7,
) -> None:
    """Fill the embedded database with a month of 300 invented people and a team; print the team's accounts, once.

    Refused where there are people already, and where anybody outside could be written to.
    """
    from bot import demo as inventing
    from bot.db import invented

    settings = configuration.load()
    if settings.database_url is not None:
        raise configuration.SettingsError("DATABASE_URL is set: `rafiq demo` fills the embedded database only")
    if remove:
        typer.echo(f"{_in_database(settings, inventing.remove)} invented people are gone")
        return
    outside = invented.outside(settings)
    if outside is not None:
        raise configuration.SettingsError(f"{outside} is set: invented people never meet the outside world; unset it")
    try:
        made = _in_database(settings, lambda database: inventing.fill(database, settings, inventing.now(), seed=seed))
    except inventing.NotEmpty:
        raise configuration.SettingsError(
            "there are people in this database: `rafiq demo` fills an empty one (`rafiq demo --remove` takes it away)"
        ) from None
    typer.echo(f"{inventing.PEOPLE} invented people. The team, shown this once, at {settings.own_url}/console:")
    for one in made:
        typer.echo("\t".join((one.role, one.email, one.password, f"TOTP {one.secret}")))
    typer.echo("`rafiq demo --remove` takes everything away.")


@app.command()
def doctor(
    new_secret: Annotated[bool, typer.Option("--new-secret", help="Only print a new webhook secret.")] = False,
) -> None:
    """What is configured, reachable, migrated, trained, and what to do about the rest."""
    from bot import doctor as examination

    if new_secret:
        typer.echo(examination.new_secret())
        return
    raise typer.Exit(0 if examination.report(configuration.load(), typer.echo) else 1)


def main() -> None:
    """The entry of the command: errors that the operator can mend are one line."""
    try:
        app()
    except (configuration.SettingsError, supervisor.StartError) as error:
        typer.echo(f"rafiq: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(1)


if __name__ == "__main__":
    main()
