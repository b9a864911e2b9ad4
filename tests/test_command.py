"""The command `rafiq` as scripts use it: in processes of its own, with JSON lines."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from itertools import pairwise
from typing import Any

import httpx
import pytest

from bot.assistant import knowledge
from bot.db.session import Database
from bot.settings import ROOT, Settings
from bot.supervisor import StartError, check_free
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
    """Run the command; its finished process. A byte that is no UTF-8 is written as Python's `surrogateescape` does."""
    return subprocess.run(
        [sys.executable, "-m", "bot.cli", *arguments],
        input=given, env=environment(settings), cwd=ROOT, capture_output=True, encoding="utf-8",
        errors="surrogateescape", timeout=seconds, check=False,
    )  # fmt: skip


def environment(settings: Settings | None) -> dict[str, str]:
    """This process's, with where the service of these settings is; and a locale that knows ASCII alone."""
    bare = {**os.environ, "LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    if settings is None:
        return bare
    return bare | {
        "RAFIQ_VAR": str(settings.rafiq_var),
        "RAFIQ_PORT": str(settings.rafiq_port),
        "RAFIQ_RASA_PORT": str(settings.rafiq_rasa_port),
        "CASE_RECEIVER_PORT": str(settings.case_receiver_port),
    }


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


NO_MESSAGES = [
    "", "   ", "nonsense", "null", "[]", '"bonjour"', "5", "{}", '{"x": 1}', '{"text": null}', '{"press": 5}',
    '{"text": "cut', "[" * 100_000, json.dumps({"text": "é" * 150_001}),
]  # fmt: skip
MESSAGES = [
    '{"text": ""}', '{"text": " \\u0000\\u200b\\u202e "}', '{"text": "\\ud800"}', '{"press": ""}',
    '{"press": "\\udfff\\u0000"}', '{"text": "bonjour", "more": 1}', '{"text": "caf\udce9"}',
    json.dumps({"text": "é" * 150_000}),
]  # fmt: skip


async def test_chat_survives_every_line(beside: Settings) -> None:
    """What is no message gets an error object and no turn, what is one an answer and a turn; then comes the next."""
    given = "\n".join([*NO_MESSAGES, *MESSAGES])
    done = await in_a_thread("chat", "--json", "--user", "script-2", "--language", "ar", given=given, settings=beside)
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [list(one) for one in said[: len(NO_MESSAGES)]] == [["error"]] * len(NO_MESSAGES)
    answers = said[len(NO_MESSAGES) :]
    turns = [one for one in answers if "turn" in one]
    assert turns == [{"turn": number} for number, _ in enumerate(MESSAGES, 1)] and answers[-1] == turns[-1]
    assert all(one in turns or set(one) == {"text", "buttons", "id", "language"} for one in answers)
    for one, after in pairwise([{"turn": 0}, *answers]):
        assert "turn" not in one or "text" in after  # no turn without a word
    assert "رفيق" in done.stdout  # UTF-8, whatever the locale


async def test_ctrl_c_ends_a_chat_that_waits_for_a_line(beside: Settings) -> None:
    """At once, without a next line and without a traceback."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot.cli", "chat", "--json", cwd=ROOT, env=environment(beside),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    process.stdin.write(b'{"text": "bonjour"}\n')
    async with asyncio.timeout(120):
        while b"turn" not in await process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
        assert await process.stderr.read() == b""


async def test_chat_says_in_one_line_that_nobody_answers(beside: Settings) -> None:
    """The service refuses, or its name is too long: no traceback."""
    (beside.rafiq_var / "local.token").rename(beside.rafiq_var / "kept")
    try:
        done = await in_a_thread("chat", "--json", given='{"text": "bonjour"}', settings=beside)
    finally:
        (beside.rafiq_var / "kept").replace(beside.rafiq_var / "local.token")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("rafiq: the service answers 401: ") and done.stderr.count("\n") == 1
    done = await in_a_thread("chat", "--json", "--user", "u" * 129, given="", settings=beside)
    assert (done.returncode, done.stderr) == (2, "rafiq: --user has 129 characters: 128 are the most\n")


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


async def test_understand_answers_every_line(beside: Settings) -> None:
    """Also an empty one, no JSON, half a character, more than a million: one object a line, its text as it came."""
    texts = [
        "", "  ", "\0", "\ud800 salut", "😀", "/restart", '/role{"x":1}', "caf\N{REPLACEMENT CHARACTER}", "é" * 1_000_000,
    ]  # fmt: skip
    lines = [json.dumps({"text": one, "more": 1}) for one in texts]
    lines[7] = "caf\udce9"
    no_objects = ["", '{"text": 5}', '{"text": "cut', '{"x": 1}', "null", "{" * 100_000]
    done = await in_a_thread("understand", given="\n".join([*lines, *no_objects]), settings=beside)
    assert done.returncode == 0, done.stderr
    meant = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["text"] for one in meant] == [*texts, *no_objects]
    assert all(len(one["ranking"]) == 3 and one["ranking"][0]["label"] == one["label"] for one in meant)


def test_where_nobody_can_listen_is_said(settings: Settings) -> None:
    """A port that is taken, a host that is not here: one line that names the setting."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        taken = settings.model_copy(update={"case_receiver_port": port})
        done = rafiq("case-receiver", settings=taken)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"rafiq: port {port} is taken: stop what uses it, or set CASE_RECEIVER_PORT to another\n"
    with pytest.raises(StartError, match=r"RAFIQ_HOST is wrong: 192\.0\.2\.1 is no address of this machine"):
        check_free(port, "RAFIQ_PORT", "192.0.2.1")


def test_what_is_no_event_is_not_replayed() -> None:
    """One line; nothing is started for it."""
    done = rafiq("case-replay", "nonsense")
    assert (done.returncode, done.stderr) == (2, "rafiq: nonsense is no event: give the id of one, or `all`\n")


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
