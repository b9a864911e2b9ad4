"""What is configured, reachable, migrated, trained; for each, what to do when it is not."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import psycopg

from bot import supervisor
from bot.cases import systems
from bot.channels.whatsapp import versioned
from bot.db import keys, migrate
from bot.settings import Settings, SettingsError
from bot.training import RASA_PYTHON, Models


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `remedy` says what to do; a finding that is not `needed` never fails the examination."""

    name: str
    good: bool
    detail: str
    remedy: str = ""
    needed: bool = True


def new_secret() -> str:
    """A new secret for CASE_WEBHOOK_SECRETS or CASE_ANSWER_SECRETS."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def report(settings: Settings, say: Callable[[str], None]) -> bool:
    """Print every finding; whether all that is needed is good."""
    healthy = True
    for finding in examine(settings):
        mark = "ok  " if finding.good else "--  " if not finding.needed else "FAIL"
        say(
            f"{mark}  {finding.name}: {finding.detail}"
            + (f" → {finding.remedy}" if not finding.good and finding.remedy else "")
        )
        healthy = healthy and (finding.good or not finding.needed)
    return healthy


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything, one finding each."""
    yield Finding("settings", True, "read")
    rasa = RASA_PYTHON.exists()
    yield Finding("Rasa's environment", rasa, ".venv-rasa" if rasa else "missing", "run `make setup`")
    trained = Models.of(settings).trained()
    yield Finding(
        "model",
        trained,
        "up to date" if trained else "what it is made from changed, or it is missing",
        "run `rafiq train` (or `make run`)",
    )
    url = supervisor.running(settings)
    yield Finding("service", url is not None, url or "not running", "run `make run`", needed=False)
    database = _database(settings, url is not None)
    yield database
    if database.good and (settings.database_url is not None or url is not None):
        yield _master_key(settings)
    if url is not None:
        try:
            ready = httpx.get(f"{url}/ready", timeout=10, trust_env=False).json()
        except (httpx.HTTPError, ValueError):
            ready = {"database": False, "rasa": False}
        yield Finding(
            "answering",
            all(ready.values()),
            ", ".join(f"{k} {'up' if v else 'down'}" for k, v in ready.items()),
            "read var/log/",
        )
    yield _telegram(settings)
    yield _whatsapp(settings)
    yield _case_backend(settings)
    yield Finding(
        "case answers",
        bool(settings.case_answer_keys),
        "taken" if settings.case_answer_keys else "not taken",
        "set CASE_ANSWER_SECRETS",
        needed=False,
    )


def _case_backend(settings: Settings) -> Finding:
    name = "case backend"
    if settings.case_receiver_is_ours:
        remedy = "set CASE_WEBHOOK_URL and CASE_WEBHOOK_SECRETS, or CASE_SYSTEM"
        return Finding(name, False, "the built-in receiver", remedy, needed=False)
    try:
        systems.backend(settings)
    except SettingsError as error:
        return Finding(name, False, str(error), "mend the settings")
    return Finding(name, True, f"{settings.case_system} at {settings.case_url}")


def _database(settings: Settings, is_running: bool) -> Finding:
    name = "database"
    if settings.database_url is None and not is_running:
        return Finding(name, True, "embedded, starts with `make run`")
    try:
        url = settings.database_url or supervisor.open_database(settings, lambda _: None)
        late = migrate.pending(url)
    except Exception as error:
        return Finding(name, False, f"not reachable ({type(error).__name__})", "mend DATABASE_URL or start the server")
    return Finding(name, not late, "behind" if late else "reachable and migrated", "run `make run`, which migrates")


def _master_key(settings: Settings) -> Finding:
    name = "master key"
    try:
        url = settings.database_url or supervisor.open_database(settings, lambda _: None)
        vault = keys.vault(url, settings.master_keys)
        with psycopg.connect(url) as connection:
            left = keys.left(connection, vault)
    except (keys.WrongMasterKey, supervisor.StartError) as wrong:
        return Finding(name, False, str(wrong), "mend RAFIQ_MASTER_KEY")
    if left:
        return Finding(name, False, f"an older one wraps {left} keys", "run `rafiq keys rotate`", needed=False)
    several = len(settings.master_keys) > 1
    detail = "several, of which the first wraps everything" if several else "one, and it wraps everything"
    return Finding(name, not several, detail, "take the others out of RAFIQ_MASTER_KEY", needed=False)


def _telegram(settings: Settings) -> Finding:
    name = "Telegram"
    if settings.telegram_token is None:
        return Finding(name, False, "not configured", "set TELEGRAM_TOKEN", needed=False)
    token = settings.telegram_token.get_secret_value()
    try:
        answer = httpx.get(f"{settings.telegram_api_url}/bot{token}/getMe", timeout=10).json()
        good = bool(answer.get("ok"))
        return Finding(name, good, "the token is accepted" if good else "the token is refused", "mend TELEGRAM_TOKEN")
    except (httpx.HTTPError, ValueError) as error:
        return Finding(name, False, f"not reachable ({type(error).__name__})", "check the network and TELEGRAM_API_URL")


def _whatsapp(settings: Settings) -> Finding:
    name = "WhatsApp"
    if settings.whatsapp_token is None:
        return Finding(name, False, "not configured", "docs/whatsapp.md", needed=False)
    url = f"{versioned(settings.whatsapp_api_url)}/{settings.whatsapp_phone_number_id}"
    token = settings.whatsapp_token.get_secret_value()
    try:
        answer = httpx.get(url, headers={"authorization": f"Bearer {token}"}, timeout=10)
    except httpx.HTTPError as error:
        return Finding(name, False, f"not reachable ({type(error).__name__})", "check the network and WHATSAPP_API_URL")
    good = answer.is_success
    remedy = "mend WHATSAPP_TOKEN or WHATSAPP_PHONE_NUMBER_ID"
    return Finding(name, good, "token and number are accepted" if good else "token or number is refused", remedy)
