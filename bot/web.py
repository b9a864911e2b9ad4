"""The service: every room wired together behind one address."""

from __future__ import annotations

import asyncio
import gc
import hmac
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import structlog
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from rasa_sdk.executor import ActionExecutor
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect

from bot import faults, metrics
from bot.assistant.forms import FormCheck
from bot.assistant.language import LanguageModel
from bot.assistant.rasa import Rasa
from bot.assistant.triage import Triage
from bot.cases import systems
from bot.cases.delivery import CaseDelivery
from bot.channels import Channel, Malformed, Unverified, terminal, web_chat
from bot.channels.body import TooLarge, forged, read_body
from bot.channels.pull import House, Signals
from bot.channels.telegram import Telegram
from bot.channels.whatsapp import WhatsApp
from bot.console import audit, oidc, pages
from bot.console.guard import Console
from bot.console.live import Live
from bot.conversation import answers, inbox, notices, outage, overview, people, receipts
from bot.conversation.appointments import Appointments
from bot.conversation.checkins import Checkins
from bot.conversation.chosen import Chosen
from bot.conversation.delivery import Delivery
from bot.conversation.media import Keeper
from bot.conversation.notify import Mailer, Watch
from bot.conversation.retention import Retention
from bot.conversation.turn import Turns
from bot.conversation.wording import Wording
from bot.db import keys
from bot.db.session import Database, Lane, connect
from bot.jobs import Lanes, Worker
from bot.journeys import first_contact, hours
from bot.messages import Incoming, Kind, Notice, Receipt, SendError
from bot.settings import Settings
from bot.training import Models
from nlu.normalise import visible

log = structlog.get_logger()
LOOK, SILENCE = 60.0, 15 * 60.0  # seconds between two looks at Telegram; without it until an operator is told
SLOW, WRITING = 1.0, 4.5  # seconds until a turn is slow; between two words to Telegram that somebody is writing
LOOPBACK = ("127.0.0.1", "::1", "localhost")
PASSED_ON = {"forwarded", "via", "x-forwarded-for", "x-real-ip"}  # what proxies add
LARGEST = 4 * 1024 * 1024  # bytes of a platform's request


class Service:
    """What one service process is made of."""

    def __init__(self, settings: Settings, database_url: str) -> None:
        self.settings = settings
        self.database: Database = connect(
            database_url, keys.vault(database_url, settings.master_keys), pool_size=settings.rafiq_turns + 24
        )
        self.rasa = Rasa(settings.rasa_url, settings.local_token, settings.rafiq_rasa_timeout)
        models = Models.of(settings)
        self.triage = Triage.load(models.cues)
        self.turns = Turns(
            self.database,
            self.rasa,
            settings,
            LanguageModel.load(models.language),
            self.triage,
            audit.record,
            self._turn_begins,
            lambda conversation_id: self.lanes.wake(Lane.DELIVERY, conversation_id),
        )
        self.telegram = Telegram.from_settings(settings) if settings.telegram_token else None
        self.whatsapp = WhatsApp.from_settings(settings) if settings.whatsapp_token else None
        self.channels: dict[str, Channel] = {
            channel.name: channel for channel in (self.telegram, self.whatsapp) if channel is not None
        }
        self.delivery = Delivery(self.database, self.channels)
        self.cases = CaseDelivery(self.database, systems.backend(settings))
        self.media = Keeper(self.database, self.delivery.channels)
        self.appointments = Appointments(self.database)
        self.checkins = Checkins(self.database, settings.rafiq_checkins_free_text)
        self.retention = Retention(self.database, settings)
        self.signals = Signals()
        self.lanes = Lanes(self.database, database_url)
        self.lanes.add(Lane.TURN, Worker(self.turns.work, settings.rafiq_turns), self._turns_due)
        self.lanes.add(Lane.DELIVERY, Worker(self.delivery.work, 16), self.delivery.due)
        self.lanes.add(Lane.CASES, Worker(self.cases.work, 1), self.cases.due)
        self.lanes.add(Lane.MEDIA, Worker(self.media.work, 2), self.media.due)
        self.lanes.add(Lane.REMINDERS, Worker(self.appointments.work, 2), self.appointments.due)
        self.lanes.add(Lane.PROPOSALS, Worker(self.appointments.unanswered, 1), self.appointments.proposed)
        self.lanes.add(Lane.CHECKINS, Worker(self.checkins.work, 4), self.checkins.due)
        self.watch, self.mailer = Watch(self.database, settings), Mailer(self.database, settings)
        self.lanes.add(Lane.HANDOFF, Worker(self.watch.work, 2), self.watch.due)
        self.lanes.add(Lane.MAIL, Worker(self.mailer.work, 2), self.mailer.due)
        self.chosen = Chosen(self.database, settings)
        self.lanes.add(Lane.SETTINGS, Worker(self.chosen.read, 1), self.chosen.due)
        self.lanes.add(Lane.ROUNDS, Worker(self.chosen.follow, 2), self.chosen.unplanned)
        self.wording = Wording(self.database)
        self.lanes.add(Lane.TEXTS, Worker(self.wording.read, 1), self.wording.due)
        self.lanes.watch(self.signals.heard)
        self.live = Live()
        self.lanes.watch(self.live.heard)
        self._met = people.Met()
        self._tasks: list[asyncio.Task[None]] = []
        self._hurrying: set[asyncio.Task[None]] = set()  # a task that nobody holds may vanish

    async def start(self) -> None:
        """Begin to work."""
        await self.turns.vector_of("")  # the encoder is loaded before the first message comes
        await self.wording.read()
        await self._learn_closed_days()
        await self.chosen.read()
        gc.collect()
        gc.freeze()  # what is there now stays: no collection need look at it
        gc.set_threshold(20_000, 20, 20)  # nor at every seven hundredth new thing
        await self.lanes.start()
        self._tasks.append(asyncio.create_task(self._watch_rasa()))
        self._tasks.append(asyncio.create_task(self._tidy()))
        if self.telegram is not None:
            self._tasks.append(asyncio.create_task(self._run_telegram(self.telegram)))
            self._tasks.append(asyncio.create_task(self._watch_telegram(self.telegram)))

    async def stop(self) -> None:
        """Finish what is being worked on and let everything go."""
        for task in (*self._tasks, *self._hurrying):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._hurrying, return_exceptions=True)
        await self.lanes.stop()
        await self.cases.close()
        await self.rasa.close()
        for channel in self.channels.values():
            await channel.close()
        await self.database.close()

    async def accept(self, events: Sequence[Incoming | Receipt | Notice]) -> list[int | None]:
        """Write down what a channel brought; when this returns it is safe. The inbox ids are of the incoming alone."""
        faults.point("receive.read")
        incoming = [event for event in events if isinstance(event, Incoming)]
        for event in incoming:
            if event.kind is Kind.TEXT:
                self.turns.expect(event.text)
        incoming += [_said_anew(event) for event in incoming if event.kind is Kind.EDITED and await self._cries(event)]
        ids = await inbox.accept(self.database, incoming, self._begin, self._met)
        reports = [event for event in events if isinstance(event, Receipt)]
        await receipts.apply(self.database, self.delivery.channels, reports)
        if reports:
            faults.point("receipts.applied")
        await notices.keep(self.database, [event for event in events if isinstance(event, Notice)])
        return ids

    async def _cries(self, edit: Incoming) -> bool:
        """Whether the changed words call for help: an edit has no turn, but nobody may wait who is in danger."""
        words = visible(edit.text).strip()
        return bool(words) and self.triage.read(words, await self.turns.vector_of(words)) is not None

    def _begin(self, event: Incoming, conversation_id: int) -> None:
        """Its turn begins; where it would wait for those of others, it is looked at whether it may."""
        if self.lanes.wake(Lane.TURN, conversation_id) and event.kind is Kind.TEXT:
            task = asyncio.create_task(self._hurry(event, conversation_id))
            self._hurrying.add(task)
            task.add_done_callback(self._hurrying.discard)

    async def _hurry(self, event: Incoming, conversation_id: int) -> None:
        """Let danger to life overtake whoever waits; the turn reads the message again and answers."""
        try:
            if not self.triage.hurries(event.text):
                return
            cue = self.triage.strong(event.text)
            if cue is None:
                cue = self.triage.read(event.text, await self.turns.vector_of(event.text))
            if cue is not None and cue.priority == "P0":
                self.lanes.wake(Lane.TURN, conversation_id, at_once=True)
        except Exception as error:  # it is in the inbox and has its turn all the same
            log.warning("not hurried", error=type(error).__name__)

    async def conversation_of(self, channel: str, address: str) -> int | None:
        """The conversation of this address, if it has one."""
        known = await people.find(self.database, channel, address)
        return known.conversation_id if known else None

    async def _turns_due(self) -> list[int]:
        return await inbox.conversations_with_work(self.database, self.rasa.available)

    async def _watch_rasa(self) -> None:
        while True:
            if not self.rasa.available:
                await self.rasa.ready()
            await asyncio.sleep(1)

    async def _tidy(self) -> None:
        """Let go, every hour, of what was kept long enough; what is kept for days, once a day."""
        while True:
            try:
                await self.media.expire()
                await self.appointments.keep()
                await self._learn_closed_days()
                await self.retention.daily()
            except Exception as error:  # the next hour is soon enough
                log.warning("not tidied", error=type(error).__name__)
            await asyncio.sleep(3600)

    async def _learn_closed_days(self) -> None:
        async with self.database.session() as session:
            await hours.learn(session)

    async def _run_telegram(self, telegram: Telegram) -> None:
        public = self.settings.rafiq_public_url
        try:
            if public is not None and self.settings.telegram_webhook_secret is not None:
                await telegram.set_webhook(public)
            else:
                await telegram.poll(lambda events: self.accept_telegram(telegram, events), self.database)
        except SendError as error:
            log.error("Telegram is off: mend TELEGRAM_TOKEN and start again", error=type(error).__name__)

    async def _watch_telegram(self, telegram: Telegram) -> None:
        """Telegram forgets updates after a day: an operator is told of an outage while nothing is lost yet."""
        well = time.monotonic()
        while True:
            await asyncio.sleep(LOOK)
            if await telegram.reaches_us():
                well = time.monotonic()
                await self._reached(telegram)
            elif time.monotonic() - well >= SILENCE:
                log.error("no updates come", channel=telegram.name)
                try:
                    await notices.keep(self.database, [Notice(telegram.name, "no updates come", {})])
                except SQLAlchemyError as error:
                    log.warning("no alert", error=type(error).__name__)

    async def _reached(self, telegram: Telegram) -> None:
        """Telegram gets through: where it did not for so long that it forgot what people wrote, they are told."""
        try:
            told = await outage.reached(self.database, telegram.name)
        except SQLAlchemyError as error:
            log.warning("nobody told of an outage", error=type(error).__name__)
            return
        if told:
            log.error("updates were lost", channel=telegram.name, told=told)

    async def accept_telegram(self, telegram: Telegram, events: Sequence[Incoming]) -> None:
        """As `accept`; then Telegram is told that its button presses arrived."""
        await self.accept(events)
        for event in events:
            if "callback_query_id" in event.details:
                await telegram.acknowledge(event.details)

    async def _turn_begins(
        self, channel: str, conversation_id: int, details: Mapping[str, Any], over: asyncio.Event
    ) -> None:
        if self.whatsapp is not None and channel == self.whatsapp.name:
            await self.whatsapp.typing(details)
        elif self.telegram is not None and channel == self.telegram.name:
            await self._show_writing(self.telegram, conversation_id, over)

    async def _show_writing(self, telegram: Telegram, conversation_id: int, over: asyncio.Event) -> None:
        """Who waits for a slow answer sees « writing… », which Telegram shows for five seconds at a time."""
        address, pause = None, SLOW
        while True:
            try:
                async with asyncio.timeout(pause):
                    await over.wait()
                return
            except TimeoutError:
                pause = WRITING
            try:
                address = address or await people.address_of(self.database, conversation_id)
            except SQLAlchemyError:
                return
            if address is not None:
                await telegram.writing(address)

    async def healthy(self) -> dict[str, bool]:
        """What answers: the database, Rasa with its model."""
        try:
            async with self.database.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
            database = True
        except Exception:
            database = False
        return {"database": database, "rasa": await self.rasa.ready()}


def create_app(settings: Settings, database_url: str) -> FastAPI:
    """The application that uvicorn serves."""
    service = Service(settings, database_url)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    app = FastAPI(title="Rafiq", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.service = service

    @app.exception_handler(SQLAlchemyError)
    async def not_stored(request: Request, error: Exception) -> Response:
        """The database does not answer: whoever asked may ask again, nothing was accepted."""
        log.error("the database failed a request", path=request.url.path, error=type(error).__name__)
        return JSONResponse({}, status_code=503, headers={"retry-after": "2"})

    executor = ActionExecutor()
    executor.register_action(FormCheck(first_contact.FORM, first_contact.is_over))
    token = settings.local_token

    async def actions(request: Request) -> Response:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            return Response(status_code=401)
        try:
            call = json.loads(await request.body())
        except (ValueError, RecursionError):
            call = None
        if not isinstance(call, dict):
            return Response(status_code=400)
        result = await executor.run(call)
        return JSONResponse(result.model_dump() if hasattr(result, "model_dump") else result)

    async def telegram(request: Request) -> Response:
        channel = service.telegram
        if channel is None:
            return Response(status_code=404)
        return await _webhook(request, channel, lambda body: service.accept_telegram(channel, channel.parse(body)))

    async def whatsapp_handshake(request: Request) -> Response:
        if service.whatsapp is None:
            return Response(status_code=404)
        try:
            challenge = service.whatsapp.handshake(dict(request.query_params))
        except Unverified:
            forged(service.whatsapp.name)
            return Response(status_code=403)
        return PlainTextResponse(challenge, headers={"x-content-type-options": "nosniff"})

    async def whatsapp(request: Request) -> Response:
        channel = service.whatsapp
        if channel is None:
            return Response(status_code=404)
        return await _webhook(request, channel, lambda body: service.accept(channel.parse(body)))

    # first of all, and as they are: most requests are these
    app.add_route("/telegram/webhook", telegram, ["POST"])
    app.add_route("/whatsapp/webhook", whatsapp, ["POST"])
    app.add_route("/rasa/actions", actions, ["POST"])
    app.add_route("/whatsapp/webhook", whatsapp_handshake, ["GET"])
    secure = (settings.rafiq_public_url or "").startswith("https://")
    house = House(service.database, service.accept, service.conversation_of, service.signals)
    app.include_router(web_chat.router(house, secure))
    app.include_router(terminal.router(house, token))
    app.include_router(answers.router(service.database, settings.case_answer_keys))
    app.include_router(
        pages.router(Console(service.database, settings, service.live, service.chosen, provider=oidc.of(settings)))
    )

    @app.get("/metrics")
    async def prometheus(request: Request) -> Response:
        if not may_measure(request, settings):
            return Response(status_code=404)
        metrics.RASA_UP.set(service.rasa.available)
        try:
            state = await overview.state(service.database)
        except SQLAlchemyError:
            state = []
        metrics.DATABASE_UP.set(bool(state))
        return Response(metrics.text(state), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/live", response_class=PlainTextResponse)
    async def live() -> str:
        return "ok"

    @app.get("/ready")
    async def ready() -> Response:
        health = await service.healthy()
        return JSONResponse(health, status_code=200 if all(health.values()) else 503)

    return app


def _said_anew(edit: Incoming) -> Incoming:
    """The changed words as a message of their own."""
    details = {key: value for key, value in edit.details.items() if key in ("message_id", "sent_at", "aliases")}
    return replace(edit, external_id=f"{edit.external_id}:words", kind=Kind.TEXT, details=details)


def may_measure(request: Request, settings: Settings) -> bool:
    """Whether this request may read /metrics: it shows the token; without one, it is of this machine, and the service
    is behind nothing that passes on what comes from elsewhere."""
    token = settings.rafiq_metrics_token
    if token is not None:
        given = request.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {token.get_secret_value()}".encode())
    if settings.rafiq_public_url is not None or not PASSED_ON.isdisjoint(request.headers):
        return False
    here = (request.client.host if request.client else "", urlsplit(f"//{request.headers.get('host', '')}").hostname)
    return here[0] in LOOPBACK and here[1] in LOOPBACK


async def _webhook(request: Request, channel: Channel, take: Callable[[bytes], Awaitable[object]]) -> Response:
    """Answer a platform: 200 only when all that it told is safe."""
    try:
        body = await read_body(request, LARGEST)
        channel.verify(dict(request.headers), body)
        await take(body)
    except TooLarge:
        return Response(status_code=413)
    except Unverified:
        forged(channel.name)
        return Response(status_code=401)
    except Malformed:
        return Response(status_code=400)
    except ClientDisconnect:
        raise
    except Exception as error:  # the platform sends it again
        log.error("not stored", channel=channel.name, error=type(error).__name__)
        return Response(status_code=503)
    return Response(status_code=200)


def listening(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves it. Where a request comes from is what the connection says, unless a proxy that was named
    says better: else anybody might choose the place that their attempts to sign in are counted for."""
    return uvicorn.Config(
        app,
        host=settings.rafiq_host,
        port=settings.rafiq_port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        proxy_headers=bool(settings.rafiq_proxies),
        forwarded_allow_ips=settings.rafiq_proxies,
    )


def serve() -> None:
    """Run this process as the service; the supervisor starts it with DATABASE_URL resolved."""
    from bot import logs, settings

    configured = settings.load()
    logs.configure(configured.rafiq_log_level)
    server = uvicorn.Server(listening(create_app(configured, os.environ["RAFIQ_TRACKER_URL"]), configured))
    server.run()
    if not server.started:
        raise SystemExit("the service did not start")


if __name__ == "__main__":
    serve()
