"""The command `rafiq` as scripts use it: in processes of its own, with JSON lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import httpx
import pytest

from bot.assistant import knowledge
from bot.db.session import Database
from bot.settings import ROOT, Settings
from bot.web import Service
from tests.cases.test_answers import ANSWERS, REF, Desk, person

COMMANDS = [
    "run",
    "chat",
    "train",
    "understand",
    "read-value",
    "topics",
    "case-receiver",
    "case-answer",
    "case-replay",
    "outbox",
    "points",
    "poster",
    "report",
    "staff",
    "telegram",
    "whatsapp",
    "doctor",
]


def rafiq(*arguments: str, given: str = "", settings: Settings | None = None, seconds: float = 120) -> Any:
    """Run the command; its finished process."""
    environment = {**os.environ}
    if settings is not None:
        environment |= {
            "RAFIQ_VAR": str(settings.rafiq_var),
            "RAFIQ_PORT": str(settings.rafiq_port),
            "RAFIQ_RASA_PORT": str(settings.rafiq_rasa_port),
        }
    return subprocess.run(
        [sys.executable, "-m", "bot.cli", *arguments],
        input=given, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip


@pytest.fixture
def beside(service: Service, settings: Settings) -> Settings:
    """A service that `rafiq` finds running."""
    (settings.rafiq_var / "run.json").write_text(json.dumps({"url": settings.own_url}))
    return settings


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    """`rafiq <command> --help` works and says something."""
    done = rafiq(command, "--help")
    assert done.returncode == 0
    assert len(done.stdout) > 100


async def in_a_thread(*arguments: str, given: str, settings: Settings) -> Any:
    """Run the command while the service of this process goes on."""
    import asyncio

    return await asyncio.to_thread(lambda: rafiq(*arguments, given=given, settings=settings))


async def test_chat_speaks_json_lines(beside: Settings) -> None:
    """A text, a press by title, a press by id: messages, then {"turn": n}, for each line."""
    lines = [{"text": "c'est quoi le retour volontaire ?"}, {"press": knowledge.title("is_it_free", "fr")}]
    given = "\n".join(json.dumps(line) for line in lines) + "\n"
    done = await in_a_thread("chat", "--json", "--user", "script-1", "--language", "fr", given=given, settings=beside)
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [message for message in said if "turn" in message] == [{"turn": 1}, {"turn": 2}]
    assert said[0]["text"] == knowledge.answer("avrr_what_is", "fr")
    assert said[0]["language"] == "fr" and said[0]["id"]
    assert all(set(button) == {"id", "title"} for button in said[0]["buttons"])
    button = said[0]["buttons"][0]["id"]
    done = await in_a_thread(
        "chat", "--json", "--user", "script-1", given=json.dumps({"press": button}), settings=beside
    )
    assert [json.loads(line) for line in done.stdout.splitlines()][-1] == {"turn": 3}


async def test_chat_survives_lines_that_are_no_json(beside: Settings) -> None:
    """A bad line gets an error object; the next line is answered."""
    done = await in_a_thread(
        "chat", "--json", "--user", "script-2", given='nonsense\n{"x": 1}\n{"text": "bonjour"}\n', settings=beside
    )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert "error" in said[0] and "error" in said[1]
    assert said[-1] == {"turn": 1}


async def test_understand_says_what_lines_mean(beside: Settings) -> None:
    """One object a line, in order, with three ranked labels; a cue where there is one."""
    lines = ['{"text": "combien d\'argent je vais recevoir"}', "salam bghit nrje3 l bladi", "hello"]
    done = await in_a_thread("understand", given="\n".join(lines), settings=beside)
    assert done.returncode == 0, done.stderr
    meant = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["label"] for one in meant] == ["allocation_amount", "return_request", "greet"]
    assert [one["language"] for one in meant] == ["fr", "ar", "en"]
    for one in meant:
        assert set(one) == {"text", "language", "label", "confidence", "ranking", "cue", "entities"}
        assert len(one["ranking"]) == 3
        assert 0 < one["confidence"] <= 1


def test_read_value_reads_json_lines() -> None:
    """kind, lang, text in; value out."""
    cases = [
        {"kind": "phone", "lang": "fr", "text": "06 12 34 56 78", "region": "MA"},
        {"kind": "date_time", "lang": "fr", "text": "mardi prochain matin", "now": "2026-11-22T12:00"},
        {"kind": "country", "lang": "en", "text": "naija"},
        {"kind": "age_group", "lang": "ar", "text": None, "region": None},
    ]  # fmt: skip
    done = rafiq("read-value", given="\n".join(json.dumps(case) for case in cases))
    values = [json.loads(line)["value"] for line in done.stdout.splitlines()]
    assert values == ["+212612345678", "2026-11-24 morning", "NG", "unknown"]
    assert done.returncode == 0


def test_read_value_goes_on_after_a_line_that_is_no_case() -> None:
    """Each line has its answer, those that cannot be read too."""
    lines = [
        "{", "[1]", '{"text": "oui"}', '{"kind": ["phone"], "text": "oui"}', '{"kind": "phone", "region": 5}',
        '{"kind": "date_time", "zone": "Mars/Phobos"}', '{"kind": "date_time", "now": "yesterday"}',
        '{"kind": "date_time", "lang": "wo"}', '{"kind": "yes_no", "text": "oui"}',
    ]  # fmt: skip
    done = rafiq("read-value", given="\n".join(lines))
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["value"] for one in answers] == [None] * 8 + ["yes"]
    assert ["error" in one for one in answers] == [True] * 8 + [False]
    assert done.returncode == 1
    assert not done.stderr


def test_topics_prints_the_knowledge_base() -> None:
    """Every topic in the table."""
    done = rafiq("topics")
    assert done.returncode == 0, done.stderr
    assert all(topic in done.stdout for topic in knowledge.topics())


async def test_case_answer_answers_as_a_case_backend_does(beside: Settings, database: Database) -> None:
    """Signed with the secret beside the built-in receiver, the running service takes it; what it refuses is said."""
    await person(database)
    said = {"mode": "office", "zone": "Africa/Casablanca", "at": "2036-11-24T10:30:00Z"}
    data = [f"{name}={value}" for name, value in said.items()]
    done = await in_a_thread("case-answer", "interview.proposed", REF, *data, given="", settings=beside)
    assert (done.returncode, done.stdout) == (0, '200 {"told":true}\n'), done.stderr
    done = await in_a_thread("case-answer", "case.closed", "AV-2222", given="", settings=beside)
    assert (done.returncode, done.stdout) == (1, '404 {"error":"no such reference"}\n')
    async with httpx.AsyncClient(base_url=beside.own_url, trust_env=False) as client:
        desk = Desk(database, client)
        assert ["au bureau" in one for one in await desk.said()] == [True]
        assert (await desk.say(ANSWERS["case.closed"])).status_code == 401  # not the secret of this one
