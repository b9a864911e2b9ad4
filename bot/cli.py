"""The command `rafiq`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

os.environ["PYTHONTZPATH"] = ""  # time zones from the tzdata package: the machine's may be wrong

import httpx
import typer

from bot import settings as configuration
from bot import supervisor
from bot.messages import LANGUAGES

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
    """Talk to the assistant in this terminal; beside a running `make run`, or alone."""
    if language and language not in LANGUAGES:
        raise configuration.SettingsError(f"--language is {language}: it must be one of {', '.join(LANGUAGES)}")
    asyncio.run(_chat(configuration.load(), as_json, user or f"terminal-{uuid.uuid4()}", language))


async def _chat(settings: configuration.Settings, as_json: bool, user: str, language: str) -> None:
    url = supervisor.running(settings)
    if url is not None:
        await _talk(url, settings.local_token, as_json, user, language)
        return
    async with supervisor.own_stack(settings, _note, ("rasa", "service", "receiver")) as stack:
        await _talk(stack.settings.own_url, settings.local_token, as_json, user, language)


async def _talk(url: str, token: str, as_json: bool, user: str, language: str) -> None:
    from bot.terminal_client import Terminal

    async with httpx.AsyncClient(
        base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=90, trust_env=False
    ) as client:
        await Terminal(client, user, language, as_json).run(sys.stdin, sys.stdout)


@app.command()
def train() -> None:
    """Train the model again, also when nothing changed."""
    settings = configuration.load()
    supervisor.ensure_models(settings, _note, force=True)


@app.command()
def understand() -> None:
    """Say what each line of the standard input means, one JSON object a line.

    A line is a text, or a JSON object with `text`. Out: text, language, label, confidence, ranking, cue, entities.
    """
    asyncio.run(_understand(configuration.load()))


async def _understand(settings: configuration.Settings) -> None:
    from bot.assistant.language import LanguageModel
    from bot.assistant.rasa import Rasa
    from bot.assistant.triage import Triage
    from bot.assistant.understand import Reader
    from bot.training import Models

    async def read(rasa_url: str) -> None:
        models = Models.of(settings)
        rasa = Rasa(rasa_url, settings.local_token, 120)
        reader = Reader(LanguageModel.load(models.language), Triage.load(models.cues), rasa)
        await reader.run(sys.stdin, sys.stdout)
        await rasa.close()

    if supervisor.running(settings) is not None:
        await read(settings.rasa_url)
        return
    async with supervisor.own_stack(settings, _note, ("rasa",)) as stack:
        await read(stack.settings.rasa_url)


@app.command("read-value")
def read_value() -> None:
    """Read a value from each line of JSON: kind (phone, country, age_group, yes_no, date_time), lang, text."""
    from bot.assistant.values.command import read_value as read

    for case in _objects():
        typer.echo(json.dumps(read(case), ensure_ascii=False))


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
    receiver.run("127.0.0.1", settings.case_receiver_port, settings.case_secrets, settings.rafiq_var / "case-receiver")


@app.command("case-answer")
def case_answer(
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="request.acknowledged, interview.proposed, …")],
    ref: Annotated[str, typer.Argument(help="The reference: AV-… or H-…")],
    data: Annotated[list[str] | None, typer.Argument(help="What else it says, as name=value.")] = None,
) -> None:
    """Answer as a case backend does, signed, to try it out: docs/case-events/answers/ says what can be said."""
    from datetime import UTC, datetime

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
    from bot.db.encryption import Vault
    from bot.db.session import connect

    settings = configuration.load()

    async def replay() -> int:
        database = connect(supervisor.open_database(settings, _note), Vault(settings.master_key), 2)
        try:
            await delivery.enable(database, settings.case_url)
            return await delivery.replay(database, None if event == "all" else uuid.UUID(event))
        finally:
            await database.engine.dispose()

    typer.echo(f"{asyncio.run(replay())} events queued again")


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
