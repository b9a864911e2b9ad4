"""Starts and keeps alive what Rafiq is made of on one machine: PostgreSQL, Rasa, the service, a case receiver."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import fcntl
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bot.cases import systems
from bot.db import embedded, invented, keys, migrate
from bot.settings import ROOT, Settings
from bot.training import RASA_PYTHON, Models, train

Say = Callable[[str], None]


class StartError(Exception):
    """Something that Rafiq needs is not there; the message says what to do, in one line."""


@dataclass
class Child:
    """A process of ours that is started again when it dies."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0
    stopping: bool = False

    async def start(self) -> None:
        """Start the process; its output goes to its log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                env=self.environment,
                cwd=ROOT,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops them in order
                preexec_fn=_die_with_parent,
            )

    async def keep_alive(self, say: Say) -> None:
        """Start it again whenever it dies, a little later each time when it keeps dying."""
        while not self.stopping:
            assert self.process is not None  # noqa: S101 (started before)
            began = time.monotonic()
            code = await self.process.wait()
            if self.stopping:
                return
            self.restarts = 0 if time.monotonic() - began > 60 else self.restarts + 1
            pause = min(0.2 * 2**self.restarts, 15)
            say(f"{self.name} ended ({code}); starting it again. Its log: {self.log}")
            await asyncio.sleep(pause)
            await self.start()

    async def stop(self, seconds: float = 15) -> None:
        """Ask it to end, then make it."""
        self.stopping = True
        if self.process is None or self.process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), seconds)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            await self.process.wait()


def _die_with_parent() -> None:
    """A killed supervisor takes its children along (Linux; elsewhere they are found at the next start)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


@dataclass
class Stack:
    """Everything that runs for one Rafiq. `parts`: which of rasa, service, receiver."""

    settings: Settings
    say: Say
    parts: tuple[str, ...] = ("rasa", "service", "receiver")
    database_url: str = ""
    children: list[Child] = field(default_factory=list)
    _keepers: list[asyncio.Task[None]] = field(default_factory=list)
    _users: int | None = None  # the file that those who use the embedded server hold

    def __post_init__(self) -> None:
        systems.backend(self.settings)  # a case system that cannot be told stops the start before anything runs

    async def start(self) -> None:
        """Start everything; returns when the first message can be answered. Raises `StartError`."""
        if self.settings.database_url is None:
            await asyncio.to_thread(self._use_embedded)
        self.database_url = await asyncio.to_thread(open_database, self.settings, self.say)
        outside = invented.outside(self.settings)
        if outside is not None and await asyncio.to_thread(invented.present, self.database_url):
            raise StartError(f"{outside} is set, but the people here are invented: run `rafiq demo --remove` first")
        models = await asyncio.to_thread(ensure_models, self.settings, self.say)
        environment = self._environment()
        if "receiver" in self.parts and self.settings.case_receiver_is_ours:
            check_free(self.settings.case_receiver_port, "CASE_RECEIVER_PORT")
            self._add("case receiver", [sys.executable, "-m", "bot.cli", "case-receiver"], environment)
        if "rasa" in self.parts:
            check_free(self.settings.rafiq_rasa_port, "RAFIQ_RASA_PORT")
            self._add("rasa", rasa_command(models.rasa, self.settings.rafiq_rasa_port), environment)
        if "service" in self.parts:
            check_free(self.settings.rafiq_port, "RAFIQ_PORT", self.settings.rafiq_host)
            self._add("service", [sys.executable, "-m", "bot.web"], environment)
        for child in self.children:
            await child.start()
            self._keepers.append(asyncio.create_task(child.keep_alive(self.say)))
        await self._wait_until_ready()

    def _add(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        log = self.settings.rafiq_var / "log" / f"{name.replace(' ', '-')}.log"
        self.children.append(Child(name, command, environment, log))

    def _environment(self) -> dict[str, str]:
        settings = self.settings
        given = {
            "RASA_TELEMETRY_ENABLED": "false",
            "PYTHONTZPATH": "",  # time zones from the tzdata package, never the machine's
            "PYTHONUNBUFFERED": "1",
            "SANIC_WORKERS": "1",
            "RAFIQ_VAR": str(settings.rafiq_var),
            "RAFIQ_PORT": str(settings.rafiq_port),
            "RAFIQ_RASA_PORT": str(settings.rafiq_rasa_port),
            "CASE_RECEIVER_PORT": str(settings.case_receiver_port),
            "RAFIQ_RASA_TOKEN": settings.local_token,
            "RAFIQ_ACTIONS_URL": f"{settings.own_url}/rasa/actions",
            "RAFIQ_TRACKER_URL": self.database_url,
        }
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        return {**threads, **os.environ, **given}

    async def _wait_until_ready(self, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        headers = {"authorization": f"Bearer {self.settings.local_token}"}
        wanted = [f"{self.settings.rasa_url}/"] if "rasa" in self.parts else []
        wanted += [f"{self.settings.own_url}/ready"] if "service" in self.parts else []
        async with httpx.AsyncClient(trust_env=False, timeout=5, headers=headers) as client:
            while wanted:
                try:
                    if (await client.get(wanted[0])).status_code == 200:
                        wanted.pop(0)
                        continue
                except httpx.HTTPError:
                    pass
                failing = next((child for child in self.children if child.restarts >= 3), None)
                if failing is not None or time.monotonic() > deadline:
                    name = failing.name if failing else "the start"
                    await self.stop()
                    raise StartError(f"{name} does not come up: read {self.settings.rafiq_var / 'log'}")
                await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """Stop everything in order: the door first, the database last."""
        for child in reversed(self.children):
            await child.stop()
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        if self._users is not None:
            await asyncio.to_thread(self._leave_embedded)

    def _use_embedded(self) -> None:
        """Say that the embedded server is used, after waiting for who may be stopping it."""
        self.settings.rafiq_var.mkdir(parents=True, exist_ok=True)
        self._users = os.open(self.settings.rafiq_var / "postgres.users", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._users, fcntl.LOCK_SH)

    def _leave_embedded(self) -> None:
        """Stop the embedded server, unless another stack of this folder uses it still."""
        users, self._users = self._users, None
        if users is None:
            return
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            embedded.stop(database_folder(self.settings))
        except BlockingIOError:
            pass
        finally:
            os.close(users)


def database_folder(settings: Settings) -> Path:
    """Where the embedded server keeps its data."""
    return settings.rafiq_var / "postgres"


def open_database(settings: Settings, say: Say) -> str:
    """The database's address: the embedded one started or DATABASE_URL reached, brought up to date."""
    if settings.database_url is None:
        say("starting the embedded PostgreSQL")
        url = embedded.start(database_folder(settings))
    else:
        url = settings.database_url
    try:
        migrate.upgrade(url)
    except migrate.DatabaseError as error:
        raise StartError(str(error)) from None
    except Exception as error:
        if settings.database_url is None:
            raise
        raise StartError(
            f"DATABASE_URL cannot be used ({type(error).__name__}): is the server up, the name right?"
        ) from None
    try:
        keys.vault(url, settings.master_keys)
    except keys.WrongMasterKey as error:
        raise StartError(str(error)) from None
    return url


def ensure_models(settings: Settings, say: Say, force: bool = False) -> Models:
    """The models, trained now where what they are made from changed. Raises `StartError`."""
    models = Models.of(settings)
    if force or not models.trained():
        if not RASA_PYTHON.exists():
            raise StartError("Rasa's environment is missing: run `make setup`")
        train(models, say, force)
    return models


def rasa_command(model: Path, port: int) -> list[str]:
    """How Rasa's process is started: loopback only, our channel, our tracker store."""
    return [
        str(RASA_PYTHON), "-m", "bot.rasa", "run",
        "--model", str(model),
        "--endpoints", "bot/rasa/endpoints.yml",
        "--credentials", "bot/rasa/credentials.yml",
        "--interface", "127.0.0.1",
        "--port", str(port),
    ]  # fmt: skip


def check_free(port: int, setting: str, host: str = "127.0.0.1") -> None:
    """Raises `StartError` where nobody could listen."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            raise StartError(f"port {port} is not for this user: set {setting} to one above 1023") from None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise StartError(f"RAFIQ_HOST is wrong: {host} is no address of this machine") from None
            raise StartError(f"port {port} is taken: stop what uses it, or set {setting} to another") from None


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def running(settings: Settings) -> str | None:
    """The address of the service that runs from this folder, if one does."""
    try:
        state: dict[str, Any] = json.loads((settings.rafiq_var / "run.json").read_text())
        url = str(state["url"])
        httpx.get(f"{url}/live", timeout=2, trust_env=False).raise_for_status()
        return url
    except (OSError, ValueError, KeyError, httpx.HTTPError):
        return None


@contextlib.contextmanager
def announced(settings: Settings) -> Iterator[None]:
    """While running: where the service is, for `rafiq chat` and `rafiq doctor`."""
    file = settings.rafiq_var / "run.json"
    file.write_text(json.dumps({"url": settings.own_url, "pid": os.getpid(), "rasa_port": settings.rafiq_rasa_port}))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def own_stack(settings: Settings, say: Say, parts: tuple[str, ...]) -> AsyncIterator[Stack]:
    """A stack on free ports for one command that found nothing running; stopped afterwards."""
    alone = settings.model_copy(
        update={"rafiq_port": free_port(), "rafiq_rasa_port": free_port(), "case_receiver_port": free_port()}
    )
    stack = Stack(alone, say, parts)
    try:
        await stack.start()
        yield stack
    finally:
        await stack.stop()
