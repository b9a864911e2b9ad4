"""`make run` as people use it: one process tree that comes up, heals itself, and goes away cleanly."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest

from bot.settings import ROOT, Settings
from bot.supervisor import Stack, free_port


class Running:
    """`rafiq run` in a `var/` of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "models").symlink_to(ROOT / "var" / "models")
        self.port = free_port()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("RAFIQ_", "DATABASE_"))},
            "RAFIQ_VAR": str(folder),
            "RAFIQ_PORT": str(self.port),
            "RAFIQ_RASA_PORT": str(free_port()),
            "CASE_RECEIVER_PORT": str(free_port()),
        }
        self.process: asyncio.subprocess.Process | None = None
        self.printed = ""

    async def start(self) -> None:
        """Start it and wait for the line that says so."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot.cli", "run", cwd=ROOT, env=self.environment, stdout=asyncio.subprocess.PIPE
        )
        assert self.process.stdout is not None
        async with asyncio.timeout(120):
            while "Ctrl-C" not in self.printed:
                line = await self.process.stdout.readline()
                assert line, f"it ended: {self.printed}"
                self.printed += line.decode()

    async def stop(self) -> int:
        """Press Ctrl-C; its return code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(40):
            return await self.process.wait()

    def child(self, words: str) -> psutil.Process:
        """The child whose command line has these words."""
        assert self.process is not None
        children = psutil.Process(self.process.pid).children(recursive=True)
        return next(child for child in children if words in " ".join(child.cmdline()))

    async def ask(self, words: str, seconds: float = 60) -> str:
        """Type into the web chat as somebody new; the first answer."""
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}", cookies={"rafiq_chat": uuid.uuid4().hex * 2}, trust_env=False
        ) as client:
            async with asyncio.timeout(seconds):
                message = {"id": str(uuid.uuid4()), "text": words}
                while True:
                    try:
                        if (await client.post("/chat/messages", json=message)).status_code == 202:
                            break
                    except httpx.HTTPError:
                        await asyncio.sleep(0.1)
                while True:
                    answer = (await client.get("/chat/messages", params={"after": 0})).json()
                    said = [one["text"] for one in answer["messages"] if one["by"] == "rafiq"]
                    if said:
                        return str(said[-1])
                    await asyncio.sleep(0.1)


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A running Rafiq."""
    running = Running(tmp_path_factory.mktemp("run"))
    await running.start()
    yield running
    if running.process is not None and running.process.returncode is None:
        await running.stop()


async def test_it_prints_its_addresses_and_answers(running: Running) -> None:
    """When it says that it is ready, the first message is answered."""
    assert f"http://127.0.0.1:{running.port}/" in running.printed
    assert "IOM" in await running.ask("what is the voluntary return programme?")


async def test_a_handoff_reaches_the_built_in_receiver(running: Running) -> None:
    """Without CASE_WEBHOOK_URL the built-in receiver takes the events, signature verified."""
    await running.ask("I want to talk to a person please")
    kept = running.folder / "case-receiver"

    async def received() -> bool:
        return any("handoff.requested" in f.read_text(errors="replace") for f in kept.rglob("*") if f.is_file())

    async with asyncio.timeout(20):
        while not await received():  # noqa: ASYNC110 (a file of another process)
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("words", ["bot.web", "bot.rasa run"])
async def test_a_killed_child_comes_back(running: Running, words: str) -> None:
    """kill -9 of the service or of Rasa: it is started again and people are answered."""
    killed = running.child(words)
    killed.kill()
    killed.wait(10)
    said = await running.ask("is it free?", 60)
    assert said
    async with asyncio.timeout(60):
        while "fee" not in await running.ask("is it free?", 60):  # noqa: ASYNC110 (another process)
            await asyncio.sleep(1)


async def test_what_runs_beside_it_leaves_the_database_running(running: Running) -> None:
    """Whoever goes first lets the embedded server be; the last one stops it (the next test)."""
    beside = Stack(Settings(_env_file=None, rafiq_var=running.folder), lambda line: None, parts=())
    await beside.start()
    await beside.stop()
    assert (running.folder / "postgres" / "postmaster.pid").exists()
    assert await running.ask("is it free?")


async def test_ctrl_c_stops_everything_and_a_second_start_works(running: Running) -> None:
    """Ctrl-C ends every process of ours, the database too; the second start finds everything in place."""
    assert running.process is not None
    tree = psutil.Process(running.process.pid).children(recursive=True)
    assert await running.stop() == 0
    _, alive = psutil.wait_procs(tree, timeout=5)
    assert not alive
    assert not (running.folder / "postgres" / "postmaster.pid").exists()
    assert not (running.folder / "run.json").exists()
    running.printed = ""
    await running.start()
    assert "training" not in running.printed
    state = json.loads((running.folder / "run.json").read_text())
    assert state["url"].endswith(str(running.port))
