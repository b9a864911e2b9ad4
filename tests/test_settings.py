"""Settings: each is explained, and a wrong one stops the start with one line that names it."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.journeys.hours import when_somebody_reads
from bot.settings import PREFIXES, ROOT, Settings, reading_hours
from bot.supervisor import free_port

EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
SETTING = re.compile(r"#?([A-Z0-9_]+)=(.*)")
KEY = base64.b64encode(bytes(range(32))).decode()
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


# What is explained


def explained() -> dict[str, tuple[str, str]]:
    """The settings of `.env.example`: name → value shown, and the comment above it."""
    found: dict[str, tuple[str, str]] = {}
    comment = ""
    for line in EXAMPLE:
        setting = SETTING.fullmatch(line)
        if setting is not None:
            assert setting[1] not in found, f"{setting[1]} is there twice"
            found[setting[1]] = (setting[2], comment)
        elif line.startswith("# ") and not line.startswith("# ---"):
            comment = line
        else:
            comment = ""
    return found


def test_every_setting_is_explained_and_nothing_else_is() -> None:
    """`.env.example` and `Settings` name the same settings, each under a comment."""
    assert set(explained()) == {name.upper() for name in Settings.model_fields}
    assert [name for name, (_, comment) in explained().items() if not comment] == []


def test_nothing_is_set_by_copying_the_example() -> None:
    """Every line of it is a comment: with no setting at all everything works."""
    assert [line for line in EXAMPLE if line and not line.startswith("#")] == []


def test_the_values_shown_are_the_defaults() -> None:
    """What the example shows for a setting that has a default is that default."""
    for name, (shown, _) in explained().items():
        field = Settings.model_fields[name.lower()]
        default = field.get_default(call_default_factory=True)
        if default in (None, []):
            continue
        given: dict[str, Any] = {name.lower(): shown}
        assert getattr(Settings(_env_file=None, **given), name.lower()) == default, name


def test_a_setting_begins_as_its_part_is_called() -> None:
    """Unknown names can be told from other programs' only by these prefixes."""
    assert [name for name in Settings.model_fields if not name.upper().startswith((*PREFIXES, "DATABASE_URL"))] == []


# What stops the start


@dataclass(frozen=True)
class Installation:
    """A copy of the program in a folder of its own, with its own `.env`."""

    folder: Path
    elsewhere: Path  # where the command is called

    def rafiq(self, *command: str, env_file: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `rafiq`, with this `.env` and no other setting than these."""
        (self.folder / ".env").write_text(env_file, encoding="utf-8")
        return self._run("-m", "bot.cli", *command, environment=environment)

    def python(self, program: str, given: str = "") -> str:
        """Run a few lines of Python there; what they print."""
        run = self._run("-c", program, given=given)
        assert run.returncode == 0, run.stderr
        return run.stdout

    def _run(
        self, *arguments: str, environment: Mapping[str, str] | None = None, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.elsewhere,
            env={**inherited, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The program as it is, copied: its `.env` is not the developer's."""
    folder, elsewhere = tmp_path_factory.mktemp("installation"), tmp_path_factory.mktemp("elsewhere")
    for name in ("bot", "nlu", "locales", "knowledge", "docs/case-events"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ROOT.glob("*.yml"):
        shutil.copy(file, folder)
    return Installation(folder, elsewhere)


def assert_one_line(run: subprocess.CompletedProcess[str], name: str) -> None:
    """Refused, in one line that names this setting; nothing was started."""
    assert run.returncode == 2, run.stdout + run.stderr
    assert run.stdout == ""
    assert run.stderr.count("\n") == 1, run.stderr
    assert run.stderr.startswith(f"rafiq: {name} is "), run.stderr


WRONG = [
    ("RAFIQ_PORT", "eighty"),
    ("RAFIQ_PORT", "0"),
    ("RAFIQ_PORT", "70000"),
    ("RAFIQ_PORT", "80\n80"),
    ("RAFIQ_RASA_PORT", "-1"),
    ("CASE_RECEIVER_PORT", "8081.5"),
    ("RAFIQ_PUBLIC_URL", "rafiq.example.org"),
    ("RAFIQ_PUBLIC_URL", "ftp://rafiq.example.org"),
    ("RAFIQ_PUBLIC_URL", "http://rafiq.example.org"),
    ("RAFIQ_PROXIES", "my-proxy"),
    ("TELEGRAM_API_URL", "javascript:alert(1)"),
    ("CASE_WEBHOOK_URL", "cases.example.org"),
    ("CASE_WEBHOOK_URL", "https://"),
    ("DATABASE_URL", "mysql://rafiq:canary@localhost/rafiq"),
    ("DATABASE_URL", "sqlite:///canary.db"),
    ("RAFIQ_MASTER_KEY", "canary"),
    ("RAFIQ_MASTER_KEY", base64.b64encode(b"canary" * 4).decode()),
    ("CASE_WEBHOOK_SECRETS", "canary"),
    ("CASE_WEBHOOK_SECRETS", f"{SECRET} whsec_canary"),
    ("TELEGRAM_WEBHOOK_SECRET", "canary"),
    ("TELEGRAM_WEBHOOK_SECRET", "canary-with-a-space in-it"),
    ("TELEGRAM_USERNAME", "canary"),
    ("TELEGRAM_USERNAME", "canary-bot"),
    ("WHATSAPP_NUMBER", "0612345678"),
    ("WHATSAPP_NUMBER", "+212 canary"),
    ("RAFIQ_LOG_LEVEL", "LOUD"),
    ("RAFIQ_LOG_LEVEL", "10"),
    ("RAFIQ_TURNS", "0"),
    ("RAFIQ_TURNS", "many"),
    ("RAFIQ_RASA_TIMEOUT", "0"),
    ("RAFIQ_RASA_TIMEOUT", "soon"),
    ("RAFIQ_RASA_TIMEOUT", "nan"),
    ("RAFIQ_CONSOLE_IDLE_MINUTES", "0"),
    ("RAFIQ_CONSOLE_HOURS", "48"),
    ("RAFIQ_METRICS_TOKEN", "too short"),
    ("RAFIQ_READING_HOURS", "always"),
    ("RAFIQ_READING_HOURS", "Mon-Fri 25:00-17:00 Africa/Casablanca"),
    ("RAFIQ_READING_HOURS", "Mon-Day 09:00-17:00 Africa/Casablanca"),
    ("RAFIQ_READING_HOURS", "Mon-Fri 17:00-09:00 Africa/Casablanca"),
    ("RAFIQ_READING_HOURS", "Mon-Fri 09:00-17:00 Mars/Olympus"),
    ("RAFIQ_HANDOFF_P0_MINUTES", "0"),
    ("RAFIQ_HANDOFF_REMIND", "5 60"),
    ("RAFIQ_HANDOFF_SILENCE", "0 60 240"),
    ("RAFIQ_MAIL_URL", "mail.example.org"),
    ("RAFIQ_MAIL_URL", "smtp://rafiq:canary@"),
    ("RAFIQ_MAIL_FROM", "Rafiq"),
]


READ_ALL = """
import json, os, sys
from bot import settings

inherited = dict(os.environ)
for given in json.load(sys.stdin):
    os.environ.update(given)
    try:
        settings.load()
        said = ""
    except settings.SettingsError as error:
        said = str(error)
    print(json.dumps(said))
    os.environ.clear()
    os.environ.update(inherited)
"""


@pytest.fixture(scope="module")
def refusals(installation: Installation) -> dict[tuple[str, str], str]:
    """What reading each wrong value says: one process for all, for a process takes a second to begin."""
    cases = json.dumps([{name: value} for name, value in WRONG])
    lines = installation.python(READ_ALL, given=cases).splitlines()
    return dict(zip(WRONG, map(json.loads, lines), strict=True))


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_is_named(refusals: dict[tuple[str, str], str], name: str, value: str) -> None:
    """In one line, and never shown: it may be a secret."""
    said = refusals[name, value]
    assert said.startswith(f"{name} is wrong: ")
    assert "\n" not in said and "canary" not in said


@pytest.mark.parametrize("command", ["doctor", "run", "train", "chat", "understand", "case-receiver", "case-replay"])
def test_a_wrong_value_in_the_file_stops_every_command(installation: Installation, command: str) -> None:
    """Before anything has started."""
    run = installation.rafiq(command, env_file="# mine\nRAFIQ_MASTER_KEY=canary\n")
    assert_one_line(run, "RAFIQ_MASTER_KEY")
    assert "canary" not in run.stderr
    assert not (installation.folder / "var").exists()


@pytest.mark.parametrize("command", ["doctor", "run"])
@pytest.mark.parametrize(
    ("name", "value"), [("RAFIQ_PORT", "eighty"), ("CASE_WEBHOOK_URL", "cases"), ("RAFIQ_LOG_LEVEL", "LOUD")]
)
def test_a_wrong_value_in_the_environment_stops_the_start(
    installation: Installation, command: str, name: str, value: str
) -> None:
    """The same from there."""
    assert_one_line(installation.rafiq(command, **{name: value}), name)


UNKNOWN = {
    "RAFIQ_PROT": "RAFIQ_PORT",
    "TELEGRAM_TOKN": "TELEGRAM_TOKEN",
    "CASE_WEBHOOK_SECRET": "CASE_WEBHOOK_SECRETS",
    "WHATSAPP_ANYTHING": "",
}


def test_two_processes_cannot_listen_at_one_port(installation: Installation) -> None:
    """Also where the other one is a default; without the built-in receiver its port is nobody's."""
    elsewhere = {"CASE_WEBHOOK_URL": "https://cases.example.org/rafiq", "CASE_WEBHOOK_SECRETS": SECRET}
    cases = [{"RAFIQ_PORT": "8081"}, {"RAFIQ_RASA_PORT": "8080"}, {"RAFIQ_PORT": "8081", **elsewhere}]
    said = [json.loads(line) for line in installation.python(READ_ALL, given=json.dumps(cases)).splitlines()]
    assert said == [
        "CASE_RECEIVER_PORT is wrong: 8081 is RAFIQ_PORT already. See .env.example",
        "RAFIQ_RASA_PORT is wrong: 8080 is RAFIQ_PORT already. See .env.example",
        "",
    ]


@pytest.mark.parametrize("place", ["file", "environment"])
@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_name_is_named_with_the_nearest(installation: Installation, name: str, place: str) -> None:
    """A slip of the pen is no silent default."""
    if place == "file":
        run = installation.rafiq("doctor", env_file=f"{name}=canary\n")
    else:
        run = installation.rafiq("doctor", **{name: "canary"})
    assert_one_line(run, name)
    assert UNKNOWN[name] in run.stderr
    assert "canary" not in run.stderr


@pytest.mark.parametrize(
    "line", ["ANYTHING=canary", "canary", "export ANYTHING=canary", "=canary", "'canary", "RAFIQ_PORT='80"]
)
def test_the_file_holds_settings_only(installation: Installation, line: str) -> None:
    """In our own file every name must be ours, and every line must be one."""
    run = installation.rafiq("doctor", env_file=f"RAFIQ_LOG_LEVEL=INFO\n{line}\n")
    assert run.returncode == 2, run.stdout + run.stderr
    assert run.stdout == ""
    assert run.stderr.count("\n") == 1 and ".env" in run.stderr, run.stderr


def test_other_programs_variables_are_left_alone(installation: Installation) -> None:
    """Names without our prefixes are none of our business in the environment; an empty value is none."""
    run = installation.rafiq("doctor", "--new-secret", LOG_LEVEL="x", DATABASE="x", RAFIQ_PORT="", WHATEVER="x")
    assert (run.returncode, run.stderr) == (0, "")
    assert SECRET[:6] == run.stdout[:6]


MISSING: list[tuple[str, Mapping[str, str]]] = [
    ("CASE_WEBHOOK_SECRETS", {"CASE_WEBHOOK_URL": "https://cases.example.org/rafiq"}),
    ("CASE_WEBHOOK_SECRETS", {"CASE_WEBHOOK_URL": "https://cases.example.org/rafiq", "CASE_WEBHOOK_SECRETS": " , "}),
    ("CASE_SYSTEM_URL", {"CASE_SYSTEM": "primero", "CASE_SYSTEM_SECRET": "canary"}),
    ("RAFIQ_MAIL_FROM", {"RAFIQ_MAIL_URL": "smtps://rafiq:canary@mail.example.org"}),
    ("RAFIQ_MASTER_KEY", {"DATABASE_URL": "postgresql://rafiq:canary@127.0.0.1:1/rafiq"}),
]


@pytest.mark.parametrize("command", ["doctor", "run"])
@pytest.mark.parametrize(("name", "given"), MISSING)
def test_a_missing_setting_is_named(
    installation: Installation, command: str, name: str, given: Mapping[str, str]
) -> None:
    """What another setting needs: before anything has started."""
    run = installation.rafiq(command, **given)
    assert_one_line(run, name)
    assert "missing" in run.stderr and "canary" not in run.stderr
    assert not (installation.folder / "var").exists()


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("CASE_SYSTEM", {"CASE_SYSTEM": "mimosa"}),
        ("CASE_SYSTEM_URL", {"CASE_SYSTEM": "primero", "CASE_SYSTEM_URL": "primero"}),
        ("CASE_SYSTEM_VALUES", {"CASE_SYSTEM_VALUES": "owner"}),
        ("CASE_ANSWER_SECRETS", {"CASE_ANSWER_SECRETS": "whsec_canary"}),
        (
            "CASE_WEBHOOK_URL",
            {
                "CASE_SYSTEM": "rapidpro",
                "CASE_SYSTEM_URL": "https://rapidpro.example.org",
                "CASE_WEBHOOK_URL": "https://cases.example.org",
                "CASE_WEBHOOK_SECRETS": SECRET,
            },
        ),
        (
            "CASE_SYSTEM_SECRET",
            {"CASE_SYSTEM": "rapidpro", "CASE_SYSTEM_URL": "https://x", "CASE_SYSTEM_VALUES": "flow=canary group=x"},
        ),
        (
            "CASE_MAPPING",
            {
                "CASE_SYSTEM": "primero",
                "CASE_SYSTEM_URL": "https://x",
                "CASE_MAPPING": "config.yml",
            },
        ),
        (
            "CASE_SYSTEM_VALUES",
            {
                "CASE_SYSTEM": "commcare",
                "CASE_SYSTEM_URL": "https://x",
                "CASE_SYSTEM_USER": "x",
                "CASE_SYSTEM_SECRET": "canary",
            },
        ),
    ],
)
def test_a_case_system_that_cannot_be_told_stops_the_start(
    installation: Installation, name: str, given: Mapping[str, str]
) -> None:
    """Before anything has started, with one line that names the setting."""
    assert_one_line(installation.rafiq("run", **given), name)
    assert not (installation.folder / "var").exists()


def test_the_environment_wins_over_the_file(installation: Installation) -> None:
    """A wrong value in the file does not matter where the environment gives a right one."""
    run = installation.rafiq("doctor", env_file="RAFIQ_LOG_LEVEL=LOUD\n", RAFIQ_LOG_LEVEL="INFO")
    assert "RAFIQ_LOG_LEVEL" not in run.stderr
    assert run.stdout.startswith("ok    settings")


def test_a_relative_folder_is_the_projects(installation: Installation) -> None:
    """RAFIQ_VAR=data means the same wherever `rafiq` is called."""
    (installation.folder / ".env").write_text("RAFIQ_VAR=data\n")
    said = installation.python("from bot import settings; print(settings.load().rafiq_var)")
    assert said.strip() == str(installation.folder / "data")


def test_a_week_may_begin_anywhere() -> None:
    """Where people work from Sunday to Thursday, Friday's question is read on Sunday."""
    days, opens, closes, zone = reading_hours("Sun-Thu 09:00-17:00 Africa/Casablanca")
    assert (sorted(days), opens.hour, closes.hour, zone.key) == ([0, 1, 2, 3, 6], 9, 17, "Africa/Casablanca")
    friday = datetime(2026, 11, 27, 12, tzinfo=UTC)
    said = when_somebody_reads("Sun-Thu 09:00-17:00 Africa/Casablanca", friday, "en")
    assert "Sunday, November 29" in said and "09:00" in said


def test_right_settings_are_read(installation: Installation) -> None:
    """All of them at once; the doctor then says what it thinks of the rest, on its own output."""
    right = {
        "DATABASE_URL": f"postgres://rafiq:canary@127.0.0.1:{free_port()}/rafiq",
        "RAFIQ_MASTER_KEY": KEY,
        "RAFIQ_PUBLIC_URL": "https://rafiq.example.org/",
        "TELEGRAM_TOKEN": "123456:canary",
        "TELEGRAM_API_URL": f"http://127.0.0.1:{free_port()}",
        "TELEGRAM_WEBHOOK_SECRET": "canary-canary-canary",
        "CASE_WEBHOOK_URL": "https://cases.example.org/rafiq",
        "CASE_WEBHOOK_SECRETS": f"{SECRET}, {SECRET}",
        "RAFIQ_READING_HOURS": "Mon-Sat 08:30-12:00 Africa/Nouakchott",
        "RAFIQ_LOG_LEVEL": "DEBUG",
        "RAFIQ_HOST": "0.0.0.0",  # noqa: S104 (read, not listened on)
    }
    run = installation.rafiq("doctor", env_file="".join(f"{name}={value}\n" for name, value in right.items()))
    assert run.stdout.startswith("ok    settings")
    assert "canary" not in run.stdout + run.stderr and SECRET not in run.stdout
    assert run.stderr == ""
