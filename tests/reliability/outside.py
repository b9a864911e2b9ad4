"""The world around the service, on loopback: both platforms, a stand-in for Rasa, a case backend; processes to kill.

Processes are forked from one that has everything imported, so that a kill costs a second and not five.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.db.encryption import Vault
from bot.db.session import Database, connect
from bot.settings import Settings
from bot.supervisor import free_port
from tests.conftest import emptied
from tests.conversation.conftest import Process, value
from tests.conversation.letters import change
from tests.simulators.rasa import GREETING, FakeRasa, listening
from tests.simulators.telegram import TelegramServer
from tests.simulators.whatsapp import APP_SECRET, PHONE_NUMBER_ID, VERIFY_TOKEN, WhatsAppServer
from tests.simulators.whatsapp import TOKEN as WHATSAPP_TOKEN

TELEGRAM_TOKEN = "123456789:AAEchaos-chaos-chaos-chaos-chaos-12"
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["tests.reliability.outside", "tests.reliability.warm"])


class Forked(Process):
    """As `Process`, from the process that has everything imported; its output goes to `log`."""

    def __init__(self, settings: Settings, database_url: str, fault: str = "", log: Path | None = None) -> None:
        super().__init__(settings, database_url, fault)
        self.settings = settings
        self._environment |= _as_environment(settings)
        arguments = (self._environment, fault, str(log or os.devnull))
        self._forked = _forks.Process(target=_serve, args=arguments, daemon=True)

    async def __aenter__(self) -> Forked:
        self._forked.start()
        async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(60):
            while self._forked.is_alive():
                try:
                    await client.get(f"{self.settings.own_url}/live")
                    break
                except httpx.HTTPError:
                    await asyncio.sleep(0.05)
        return self

    async def died(self, seconds: float = 60) -> int:
        """Wait for its end; its return code (-9 when it was killed)."""
        await asyncio.to_thread(self._forked.join, seconds)
        if self._forked.exitcode is None:
            raise TimeoutError("it lives")
        return self._forked.exitcode

    def kill(self) -> None:
        """Like a power cut."""
        self._forked.kill()

    async def __aexit__(self, *_: object) -> None:
        if self._forked.is_alive():
            self._forked.terminate()
        await asyncio.to_thread(self._forked.join)
        self._forked.close()


def _as_environment(settings: Settings) -> dict[str, str]:
    given: dict[str, str] = {"RAFIQ_PORT": str(settings.rafiq_port), "RAFIQ_LOG_LEVEL": settings.rafiq_log_level}
    for name in Settings.model_fields:
        if name.startswith(("whatsapp_", "telegram_", "case_webhook_url", "rafiq_public_url", "rafiq_rasa_timeout")):
            found = getattr(settings, name)
            if found is not None:
                given[name.upper()] = found.get_secret_value() if isinstance(found, SecretStr) else str(found)
    return given


def _serve(environment: Mapping[str, str], fault: str, log: str) -> None:
    """What the forked process does: be the service, with this fault armed."""
    from bot import faults, web

    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.environ.clear()
    os.environ.update(environment)
    faults._ARMED = fault
    web.serve()


class CaseBackend:
    """Takes every case event and counts how often each came; `status` is what it answers."""

    def __init__(self) -> None:
        self.ids: Counter[str] = Counter()
        self.status = 200

    async def _take(self, request: Request) -> Response:
        try:
            await request.body()
        except ClientDisconnect:  # killed while it posted
            return Response(status_code=400)
        self.ids[request.headers["webhook-id"]] += 1
        return Response(status_code=self.status)

    @asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator[None]:
        """Listen on this port of the loopback."""
        app = Starlette(routes=[Route("/{path:path}", self._take, methods=["POST"])])
        async with listening(app, port):
            yield


async def hand_over(body: dict[str, Any]) -> Response:
    """Rasa's decision in every turn here: a person is asked for, which is an effect that can be counted."""
    return JSONResponse({**GREETING, "messages": [{"do": "handoff", "with": {"reason": "asked"}}]})


@dataclass
class Outside:
    """Everything around the service; `process` makes one, all of them on the same port, one after the other."""

    settings: Settings
    url: str
    database: Database
    whatsapp: WhatsAppServer
    telegram: TelegramServer
    rasa: FakeRasa
    backend: CaseBackend
    log: Path

    def process(self, fault: str = "", **changed: Any) -> Forked:
        """A service process with this fault armed, or without."""
        return Forked(self.settings.model_copy(update=changed), self.url, fault, self.log)

    def with_settings(self, **changed: Any) -> Outside:
        """The same world with a service set otherwise."""
        return replace(self, settings=self.settings.model_copy(update=changed))

    async def empty(self) -> None:
        """Nothing was ever said; no service may be running."""
        await emptied(self.database)
        self.whatsapp.sent.clear()
        self.whatsapp.calls.clear()
        self.whatsapp.moments.clear()
        self.whatsapp.opened.clear()
        self.backend.ids.clear()
        self.rasa.turns.clear()

    async def drained(self, accepted: int, seconds: float = 120) -> None:
        """Until so many events were accepted and nothing is left to do; a send that nobody knows of is now due.

        The minute for which WhatsApp's word is awaited is passed by moving the row's own time, when every webhook
        of the platform was taken: nothing more can come.
        """

        async with asyncio.timeout(seconds):
            while self.whatsapp._webhooks or not await value(self.database, _OVER, accepted=accepted):
                if not self.whatsapp._webhooks:
                    await change(self.database, _DUE)
                await asyncio.sleep(0.1)


_DUE = "UPDATE outbox SET next_at = now() WHERE status = 'sending' AND error = 'Ambiguous' AND next_at > now()"
_OVER = """SELECT (SELECT count(*) FROM inbox) >= :accepted
    AND NOT EXISTS (SELECT 1 FROM inbox WHERE status NOT IN ('done', 'dead'))
    AND NOT EXISTS (SELECT 1 FROM outbox WHERE status IN ('queued', 'sending'))
    AND NOT EXISTS (SELECT 1 FROM case_event WHERE status = 'queued')
    AND NOT EXISTS (SELECT 1 FROM media WHERE status = 'pending')"""


@asynccontextmanager
async def outside(settings: Settings, url: str, log: Path) -> AsyncIterator[Outside]:
    """The world, and settings that lead there."""
    log.parent.mkdir(parents=True, exist_ok=True)
    rasa, backend = FakeRasa(), CaseBackend()
    rasa.behave = hand_over
    async with WhatsAppServer() as whatsapp, TelegramServer() as telegram:
        given = settings.model_copy(
            update={
                "rafiq_port": free_port(),
                "rafiq_rasa_port": free_port(),
                "case_receiver_port": free_port(),
                "telegram_token": SecretStr(TELEGRAM_TOKEN),
                "telegram_api_url": telegram.url,
                "whatsapp_token": SecretStr(WHATSAPP_TOKEN),
                "whatsapp_phone_number_id": PHONE_NUMBER_ID,
                "whatsapp_app_secret": SecretStr(APP_SECRET),
                "whatsapp_verify_token": SecretStr(VERIFY_TOKEN),
                "whatsapp_api_url": whatsapp.url,
            }
        )
        whatsapp.webhook = f"{given.own_url}/whatsapp/webhook"
        database = connect(url, Vault(given.master_key), 8)
        async with rasa.serving(given.rafiq_rasa_port), backend.serving(given.case_receiver_port):
            yield Outside(given, url, database, whatsapp, telegram, rasa, backend, log)
        await database.close()
