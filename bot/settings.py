"""Settings, from the environment and from `.env`; a wrong one stops the start with one line that names it."""

from __future__ import annotations

import base64
import difflib
import os
import re
import secrets
from dataclasses import dataclass, field
from datetime import time
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, reset_tzpath

from dotenv.parser import parse_stream
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

# The machine's own time zones may be wrong (Debian 12 shows Morocco an hour late): those of the tzdata package count,
# also where zoneinfo was imported before PYTHONTZPATH was set.
reset_tzpath(to=())
ZoneInfo.clear_cache()
ROOT = Path(__file__).resolve().parent.parent
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HOURS = re.compile(r"(\w{3})-(\w{3}) (\d\d:\d\d)-(\d\d:\d\d) (\S+)")
_PRICE = re.compile(r"([a-z]+)\.(reply|unasked|template)=(\d+(?:\.\d+)?)")
PREFIXES = ("RAFIQ_", "TELEGRAM_", "CASE_", "WHATSAPP_")


class SettingsError(Exception):
    """One line for the operator: which setting, what is wrong with it, how to mend it."""


def reading_hours(setting: str) -> tuple[frozenset[int], time, time, ZoneInfo]:
    """Read « Mon-Fri 09:00-17:00 Africa/Casablanca »: weekdays (Monday is 0), opening and closing wall time, zone."""
    match = _HOURS.fullmatch(setting)
    try:
        if match is None:
            raise ValueError
        first, last = _DAYS.index(match[1]), _DAYS.index(match[2])
        opens, closes, zone = time.fromisoformat(match[3]), time.fromisoformat(match[4]), ZoneInfo(match[5])
        if opens >= closes:
            raise ValueError
    except (ValueError, KeyError, OSError):
        raise ValueError("write it as: Mon-Fri 09:00-17:00 Africa/Casablanca") from None
    return frozenset((first + day) % 7 for day in range((last - first) % 7 + 1)), opens, closes, zone


def reading_prices(setting: str) -> dict[tuple[str, str], Decimal]:
    """Read « whatsapp.reply=0.01 whatsapp.template=0.03 »: what one message of a channel and kind costs."""
    prices = {}
    for one in setting.split():
        match = _PRICE.fullmatch(one)
        if match is None:
            raise ValueError(
                "write it as: whatsapp.reply=0.01 whatsapp.template=0.03 (kinds: reply, unasked, template)"
            )
        prices[match[1], match[2]] = Decimal(match[3])
    return prices


def reading_minutes(setting: str) -> dict[str, int]:
    """Read « 5 60 240 »: minutes for the priorities P0, P1 and P2."""
    if re.fullmatch(r"[1-9]\d{0,4} [1-9]\d{0,4} [1-9]\d{0,4}", setting) is None:
        raise ValueError("write three numbers of minutes, for P0, P1 and P2, as: 5 60 240")
    return dict(zip(("P0", "P1", "P2"), map(int, setting.split()), strict=True))


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in. `tls`: from the first byte; otherwise STARTTLS, which only this machine may lack."""

    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None = field(repr=False)

    @property
    def starttls(self) -> bool | None:
        """Whether STARTTLS must be (True), is not needed (False), or is used if the server offers it (None)."""
        if self.tls:
            return False
        return None if self.host in ("127.0.0.1", "::1", "localhost") else True


def reading_mail_server(setting: str) -> MailServer:
    """Read « smtps://user:password@mail.example.org » or « smtp://… », which then must offer STARTTLS."""
    wrong = "write it as: smtps://user:password@mail.example.org, or smtp:// for a server with STARTTLS"
    try:
        parts = urlsplit(setting)
        port = parts.port
    except ValueError:
        raise ValueError(wrong) from None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError(wrong)
    tls = parts.scheme == "smtps"
    user, password = (unquote(one) if one else None for one in (parts.username, parts.password))
    return MailServer(parts.hostname, port or (465 if tls else 587), tls, user, password)


class Settings(BaseSettings):
    """Every setting of the service. `.env.example` explains each; the tests hold the two together."""

    model_config = SettingsConfigDict(extra="forbid", env_ignore_empty=True, env_file_encoding="utf-8")

    database_url: str | None = None
    rafiq_host: str = "127.0.0.1"
    rafiq_port: int = Field(8080, ge=1, le=65535)
    rafiq_public_url: str | None = None
    rafiq_proxies: Annotated[list[str], NoDecode] = Field(default_factory=list)
    rafiq_var: Path = ROOT / "var"
    rafiq_master_key: SecretStr | None = None
    rafiq_log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    rafiq_turns: int = Field(16, ge=1, le=64)
    rafiq_rasa_port: int = Field(5005, ge=1, le=65535)
    rafiq_rasa_timeout: float = Field(10.0, gt=0, le=30)
    rafiq_checkins_months: int = Field(12, ge=1, le=24)
    rafiq_checkins_free_text: bool = False
    rafiq_media_days: int = Field(30, ge=1, le=365)
    rafiq_payload_days: int = Field(7, ge=1, le=90)
    rafiq_conversation_days: int = Field(90, ge=7, le=730)
    rafiq_checkin_values_months: int = Field(24, ge=1, le=60)
    rafiq_silent_months: int = Field(24, ge=6, le=120)
    rafiq_message_prices: str | None = None
    rafiq_reading_hours: str = "Mon-Fri 09:00-17:00 Africa/Casablanca"
    rafiq_handoff_p0_minutes: int = Field(15, ge=1, le=240)
    rafiq_handoff_p1_days: int = Field(1, ge=1, le=30)
    rafiq_handoff_p2_days: int = Field(2, ge=1, le=30)
    rafiq_handoff_remind: str = "5 60 240"
    rafiq_handoff_silence: str = "15 120 480"
    rafiq_handoff_reopen_hours: int = Field(72, ge=1, le=720)
    rafiq_mail_url: SecretStr | None = None
    rafiq_mail_from: str | None = None
    rafiq_console_idle_minutes: int = Field(30, ge=5, le=120)
    rafiq_console_hours: int = Field(10, ge=1, le=24)
    rafiq_oidc_issuer: str | None = None
    rafiq_oidc_client: str | None = None
    rafiq_oidc_secret: SecretStr | None = None
    rafiq_oidc_second_factor: Annotated[list[str], NoDecode] = Field(default_factory=list)
    rafiq_metrics_token: SecretStr | None = None
    telegram_token: SecretStr | None = None
    telegram_username: str | None = None
    telegram_api_url: str = "https://api.telegram.org"
    telegram_webhook_secret: SecretStr | None = None
    telegram_messages_per_second: int = Field(26, ge=1, le=1000)
    whatsapp_token: SecretStr | None = None
    whatsapp_number: str | None = None
    whatsapp_phone_number_id: str | None = None
    whatsapp_account_id: str | None = None
    whatsapp_app_secret: SecretStr | None = None
    whatsapp_verify_token: SecretStr | None = None
    whatsapp_api_url: str = "https://graph.facebook.com"
    whatsapp_people_per_day: int = Field(250, ge=1, le=10_000_000)
    case_webhook_url: str | None = None
    case_webhook_secrets: Annotated[list[SecretStr], NoDecode] = Field(default_factory=list)
    case_receiver_port: int = Field(8081, ge=1, le=65535)
    case_system: Literal["webhook", "primero", "commcare", "rapidpro"] = "webhook"
    case_system_url: str | None = None
    case_system_user: str | None = None
    case_system_secret: SecretStr | None = None
    case_system_values: Annotated[dict[str, str], NoDecode] = Field(default_factory=dict)
    case_mapping: Path | None = None
    case_answer_secrets: Annotated[list[SecretStr], NoDecode] = Field(default_factory=list)

    @field_validator(
        "case_webhook_secrets", "case_answer_secrets", "rafiq_proxies", "rafiq_oidc_second_factor", mode="before"
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return value.replace(",", " ").split() if isinstance(value, str) else value

    @field_validator("case_system_values", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        pairs = [one.partition("=") for one in value.replace(",", " ").split()]
        if not all(name and given for name, _, given in pairs):
            raise ValueError("write it as: name=value name=value")
        return {name: given for name, _, given in pairs}

    @field_validator("rafiq_proxies")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        try:
            return [str(ip_network(one)) for one in value]
        except ValueError:
            raise ValueError("write addresses or networks: 127.0.0.1 10.0.0.0/24") from None

    @field_validator("case_webhook_secrets", "case_answer_secrets")
    @classmethod
    def _standard(cls, value: list[SecretStr]) -> list[SecretStr]:
        for secret in value:
            try:
                long_enough = (
                    len(base64.b64decode(secret.get_secret_value().removeprefix("whsec_"), validate=True)) >= 24
                )
            except ValueError:
                long_enough = False
            if not long_enough:
                raise ValueError(
                    "each secret is `whsec_` and 24 bytes or more in base64: make one with `rafiq doctor --new-secret`"
                )
        return value

    @field_validator("rafiq_master_key")
    @classmethod
    def _key(cls, value: SecretStr | None) -> SecretStr | None:
        for one in value.get_secret_value().split() if value is not None else ():
            try:
                right = len(base64.b64decode(one, validate=True)) == 32
            except ValueError:
                right = False
            if not right:
                raise ValueError("it must be 32 bytes in base64; make one with `openssl rand -base64 32`")
        return value

    @field_validator("database_url")
    @classmethod
    def _postgres(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("postgresql://", "postgres://")):
            raise ValueError("it must begin with postgresql://, or be left out for the embedded server")
        return value.replace("postgres://", "postgresql://", 1) if value else value

    @field_validator("rafiq_var", "case_mapping")
    @classmethod
    def _folder(cls, value: Path | None) -> Path | None:
        return value if value is None else ROOT / value

    @field_validator("rafiq_reading_hours")
    @classmethod
    def _hours(cls, value: str) -> str:
        reading_hours(value)
        return value

    @field_validator("rafiq_handoff_remind", "rafiq_handoff_silence")
    @classmethod
    def _minutes(cls, value: str) -> str:
        reading_minutes(value)
        return value

    @field_validator("rafiq_mail_url")
    @classmethod
    def _mail(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            reading_mail_server(value.get_secret_value())
        return value

    @field_validator("rafiq_mail_from")
    @classmethod
    def _from(cls, value: str | None) -> str | None:
        if value is not None and re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", value) is None:
            raise ValueError("it must be an e-mail address: rafiq@example.org")
        return value

    @field_validator("rafiq_metrics_token")
    @classmethod
    def _metrics(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[\x21-\x7e]{16,256}", value.get_secret_value()):
            raise ValueError("it must be 16 to 256 letters, digits or signs without a space")
        return value

    @field_validator("rafiq_message_prices")
    @classmethod
    def _prices(cls, value: str | None) -> str | None:
        reading_prices(value or "")
        return value

    @field_validator("case_webhook_url", "case_system_url", "telegram_api_url", "whatsapp_api_url", "rafiq_public_url")
    @classmethod
    def _web(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"https?://[^/\s]", value):
            raise ValueError("it must begin with https:// (or http:// on this machine)")
        return value.rstrip("/") if value else value

    @field_validator("rafiq_public_url")
    @classmethod
    def _sealed(cls, value: str | None) -> str | None:
        if value is not None and value.startswith("http://"):
            host = urlsplit(value).hostname
            if host not in ("127.0.0.1", "::1", "localhost"):
                raise ValueError("it must begin with https://: passwords and what people write go there")
        return value

    @field_validator("rafiq_oidc_issuer")
    @classmethod
    def _issuer(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "")  # kept as it is written: a provider's own name may end in a slash
        here = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
        if value is not None and (not (here or parts.scheme == "https") or not parts.hostname or parts.query):
            raise ValueError("it must begin with https:// (or http:// on this machine): what the provider calls itself")
        return value

    @field_validator("whatsapp_phone_number_id", "whatsapp_account_id")
    @classmethod
    def _meta_id(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[0-9]{1,32}", value):
            raise ValueError("it is the number that Meta shows as an id, not a telephone number with + or spaces")
        return value

    @field_validator("telegram_username")
    @classmethod
    def _username(cls, value: str | None) -> str | None:
        name = (value or "").removeprefix("@")
        if value is not None and not (
            re.fullmatch(r"[A-Za-z]\w{4,31}", name, re.ASCII) and name.lower().endswith("bot")
        ):
            raise ValueError("it is the bot's name at Telegram, which ends in bot: rafiq_example_bot")
        return name or None

    @field_validator("whatsapp_number")
    @classmethod
    def _international(cls, value: str | None) -> str | None:
        digits = re.sub(r"[ .()-]", "", value or "").removeprefix("+")
        if value is not None and not re.fullmatch(r"[1-9][0-9]{7,14}", digits):
            raise ValueError("write the telephone number with its country code: +44 7700 900123")
        return digits or None

    @field_validator("telegram_webhook_secret")
    @classmethod
    def _secret(cls, value: SecretStr | None) -> SecretStr | None:
        allowed = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
        if value is not None and not (
            16 <= len(value.get_secret_value()) <= 256 and set(value.get_secret_value()) <= allowed
        ):
            raise ValueError("it must be 16 to 256 letters, digits, _ or -")
        return value

    @property
    def master_key(self) -> bytes:
        """The 32 bytes that wrap every new person's key."""
        return self.master_keys[0]

    @property
    def master_key_file(self) -> Path:
        """Where the master key is kept when none is set."""
        return self.rafiq_var / "master.key"

    @property
    def master_keys(self) -> list[bytes]:
        """The master keys, the current one first; made once under `var/` when none is set."""
        if self.rafiq_master_key is not None:
            return [base64.b64decode(one) for one in self.rafiq_master_key.get_secret_value().split()]
        if self.database_url is not None:
            raise SettingsError(
                "RAFIQ_MASTER_KEY is missing: DATABASE_URL needs it, 32 bytes in base64 (openssl rand -base64 32)"
            )
        both = kept_secret(self.master_key_file, 32)  # two while it is changed: bot/db/keys.py
        return [both[at : at + 32] for at in range(0, len(both), 32)]

    @property
    def mail_server(self) -> MailServer | None:
        """Where mail is handed in; None when nobody is written to by mail."""
        return reading_mail_server(self.rafiq_mail_url.get_secret_value()) if self.rafiq_mail_url else None

    @property
    def rasa_url(self) -> str:
        """Where our channel inside Rasa listens."""
        return f"http://127.0.0.1:{self.rafiq_rasa_port}/webhooks/service"

    @property
    def own_url(self) -> str:
        """Where this service listens, for processes of this machine."""
        host = "127.0.0.1" if self.rafiq_host in ("0.0.0.0", "::", "") else self.rafiq_host  # noqa: S104 (compared)
        return f"http://{host}:{self.rafiq_port}"

    @property
    def local_token(self) -> str:
        """What processes of this machine show each other (Rasa, the terminal); readable by this user alone."""
        return kept_secret(self.rafiq_var / "local.token", 32).hex()

    @property
    def case_receiver_is_ours(self) -> bool:
        """Whether the built-in receiver takes the case events, because nothing else is set."""
        return self.case_system == "webhook" and self.case_webhook_url is None

    @property
    def case_url(self) -> str:
        """Where case events are posted."""
        if self.case_receiver_is_ours:
            return f"http://127.0.0.1:{self.case_receiver_port}/"
        return (self.case_webhook_url if self.case_system == "webhook" else self.case_system_url) or ""

    @property
    def case_secrets(self) -> list[str]:
        """The secrets that sign webhooks, the current one first; the built-in receiver's own when none is set."""
        if self.case_webhook_secrets:
            return [secret.get_secret_value() for secret in self.case_webhook_secrets]
        return [self._kept_webhook_secret("case.secret")]

    @property
    def case_answer_keys(self) -> list[str]:
        """The secrets that a case backend signs its answers with; one of our own beside the built-in receiver."""
        if self.case_answer_secrets or not self.case_receiver_is_ours:
            return [secret.get_secret_value() for secret in self.case_answer_secrets]
        return [self._kept_webhook_secret("case-answer.secret")]

    def _kept_webhook_secret(self, name: str) -> str:
        return "whsec_" + base64.b64encode(kept_secret(self.rafiq_var / name, 32)).decode()


def kept_secret(path: Path, size: int) -> bytes:
    """Random bytes made once and kept in a file that only this user reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return bytes.fromhex(path.read_text().strip())
    secret = secrets.token_bytes(size)
    with os.fdopen(handle, "w") as file:
        file.write(secret.hex())
    return secret


def load(env_file: Path | None = ROOT / ".env", **given: Any) -> Settings:
    """Read the settings; raises `SettingsError` with one line that says how to mend the first wrong one."""
    _refuse_unknown(env_file)
    try:
        settings = Settings(_env_file=env_file if env_file and env_file.exists() else None, **given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper() if first["loc"] else "settings"
        if first["type"] == "extra_forbidden":
            raise SettingsError(
                f"{name} is not a setting of Rafiq{_nearest(name)}: mend or remove it in .env"
            ) from None
        message = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{name} is wrong: {message}. See .env.example") from None
    if settings.case_webhook_url and not settings.case_webhook_secrets:
        raise SettingsError(
            "CASE_WEBHOOK_SECRETS is missing: CASE_WEBHOOK_URL needs the secret(s) that sign what is posted there"
        )
    _own_ports(settings)
    _whole_whatsapp(settings)
    if settings.case_system != "webhook" and not settings.case_system_url:
        raise SettingsError(f"CASE_SYSTEM_URL is missing: CASE_SYSTEM={settings.case_system} needs its address")
    if settings.case_system != "webhook" and settings.case_webhook_url:
        raise SettingsError("CASE_WEBHOOK_URL is one too many: case events go there or to CASE_SYSTEM, not to both")
    if settings.rafiq_mail_url and not settings.rafiq_mail_from:
        raise SettingsError("RAFIQ_MAIL_FROM is missing: RAFIQ_MAIL_URL needs the address that mail comes from")
    for name in ("rafiq_oidc_issuer", "rafiq_oidc_client", "rafiq_oidc_secret"):
        if getattr(settings, name) is None and (
            settings.rafiq_oidc_issuer or settings.rafiq_oidc_client or settings.rafiq_oidc_secret
        ):
            raise SettingsError(f"{name.upper()} is missing: signing in by a provider needs it. See docs/console.md")
    if settings.database_url and settings.rafiq_master_key is None:
        raise SettingsError(
            "RAFIQ_MASTER_KEY is missing: DATABASE_URL needs it, 32 bytes in base64 (openssl rand -base64 32)"
        )
    return settings


def _own_ports(settings: Settings) -> None:
    """Each process listens at a port of its own."""
    taken: dict[int, str] = {}
    for name in ("rafiq_port", "rafiq_rasa_port", "case_receiver_port"):
        port = getattr(settings, name)
        if name == "case_receiver_port" and not settings.case_receiver_is_ours:
            continue
        if port in taken:
            raise SettingsError(f"{name.upper()} is wrong: {port} is {taken[port]} already. See .env.example")
        taken[port] = name.upper()


def _whole_whatsapp(settings: Settings) -> None:
    """WhatsApp is on with all that it needs, or off."""
    needed = ("whatsapp_token", "whatsapp_phone_number_id", "whatsapp_app_secret", "whatsapp_verify_token")
    missing = [name.upper() for name in needed if getattr(settings, name) is None]
    if missing and len(missing) < len(needed):
        raise SettingsError(f"{missing[0]} is missing: WhatsApp needs it. See .env.example and docs/whatsapp.md")


def _refuse_unknown(env_file: Path | None) -> None:
    known = {name.upper() for name in Settings.model_fields}
    for name in os.environ:
        if name.startswith(PREFIXES) and name not in known and name not in PROCESS_ONLY:
            raise SettingsError(f"{name} is not a setting of Rafiq{_nearest(name)}: mend or unset it")
    if env_file is None or not env_file.exists():
        return
    try:
        with env_file.open(encoding="utf-8") as file:
            lines = [line for line in parse_stream(file) if line.error or (line.key and line.value is None)]
    except (OSError, UnicodeError) as error:
        raise SettingsError(f".env cannot be read ({type(error).__name__}): {env_file}") from None
    if lines:
        raise SettingsError(f".env is wrong in line {lines[0].original.line}: write NAME=value. See .env.example")


# given by the supervisor to the processes it starts
PROCESS_ONLY = {"RAFIQ_RASA_TOKEN", "RAFIQ_ACTIONS_URL", "RAFIQ_TRACKER_URL", "RAFIQ_FAULT"}


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, [field.upper() for field in Settings.model_fields], 1)
    return f" (did you mean {near[0]}?)" if near else ""
