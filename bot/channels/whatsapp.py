"""WhatsApp through Meta's Cloud API: webhooks in (`whatsapp_webhook`), messages out.

The token travels in a header, so addresses may be logged; what is written to people, and their numbers, may not.
A message carries our id (`biz_opaque_callback_data`), which comes back with its statuses: what became of a send
whose answer was lost can be known.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Self

import httpx
import regex
import structlog

from bot import i18n
from bot.channels import Limits, Rate, Unverified, whatsapp_templates, whatsapp_webhook
from bot.channels.body import readable
from bot.channels.whatsapp_errors import code_of, failure
from bot.messages import (
    OPENS,
    Ambiguous,
    Button,
    File,
    Incoming,
    Language,
    NoTemplate,
    Notice,
    Outgoing,
    Receipt,
    Refused,
    Retryable,
    SendError,
    Template,
)
from bot.settings import Settings, SettingsError

log = structlog.get_logger()

WEBHOOK_PATH = "/whatsapp/webhook"
SIGNATURE_HEADER = "x-hub-signature-256"
API_VERSION = "v25.0"  # of the Graph API, where WHATSAPP_API_URL names none
LONGEST_INTERACTIVE = 1024  # characters of a text with buttons
LONGEST_CAPTION = 1024  # and of one under a picture
VOICES = ("audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg")
MOST_BUTTONS, MOST_ROWS = 3, 10
BUTTON_TITLE, ROW_TITLE, ROW_DESCRIPTION = 20, 24, 72
BUTTON_ID, ROW_ID = 256, 200

# megabytes of each type of file that is taken
LARGEST_FILES = {
    "image/jpeg": 5,
    "image/png": 5,
    "image/webp": 1,
    "audio/": 16,
    "video/": 16,
    "application/pdf": 16,
}

_VERSION = re.compile(r"/v\d+\.\d+$")
_COURTESY = 3.0  # seconds that a call may take which nobody will miss
_UPLOAD = 60.0  # seconds for a file of 16 MB
_FILES_LIVE = re.compile(r"(?:[a-z0-9-]+\.)*(?:fbsbx\.com|fbcdn\.net|whatsapp\.net|facebook\.com)")
_NOT_REACHED = (
    httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)  # fmt: skip


class WhatsApp:
    """The WhatsApp channel. `patience` is seconds for one call."""

    name = whatsapp_webhook.NAME
    longest = 4096

    def __init__(
        self,
        token: str,
        phone_number_id: str,
        app_secret: str,
        verify_token: str,
        api_url: str,
        *,
        people_a_day: int = 250,
        patience: float = 10.0,
    ) -> None:
        # one message in six seconds to one person, with a burst that has to be paid back; 80 a second in all, both ways
        self.limits = Limits(
            chat=Rate(1 / 6, 40),
            channel=Rate(70, 10),
            unasked=Rate(55, 5),
            window=timedelta(hours=24),
            receipts=True,
            people_a_day=people_a_day,
        )
        self._phone_number_id = phone_number_id
        self._app_secret = app_secret.encode()
        self._verify_token = verify_token.encode()
        self._messages = f"{versioned(api_url)}/{phone_number_id}/messages"
        self._media = f"{versioned(api_url)}/{phone_number_id}/media"
        self._api = versioned(api_url)
        self._http = httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}, timeout=patience)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The channel that these settings describe; `SettingsError` when one is missing."""
        needed = {
            "WHATSAPP_TOKEN": settings.whatsapp_token,
            "WHATSAPP_APP_SECRET": settings.whatsapp_app_secret,
            "WHATSAPP_VERIFY_TOKEN": settings.whatsapp_verify_token,
        }
        given = [secret.get_secret_value() for secret in needed.values() if secret is not None]
        if len(given) < len(needed) or settings.whatsapp_phone_number_id is None:
            raise SettingsError("WhatsApp needs " + ", ".join(needed) + " and WHATSAPP_PHONE_NUMBER_ID")
        token, app_secret, verify_token = given
        return cls(
            token,
            settings.whatsapp_phone_number_id,
            app_secret,
            verify_token,
            settings.whatsapp_api_url,
            people_a_day=settings.whatsapp_people_per_day,
        )

    def __repr__(self) -> str:
        return "WhatsApp()"  # never the token

    # Reading

    def handshake(self, query: Mapping[str, str]) -> str:
        """What Meta wants to hear when the webhook is registered; `Unverified` for anybody else."""
        given = query.get("hub.verify_token", "").encode("utf-8", "surrogatepass")
        right = hmac.compare_digest(given, self._verify_token)
        if not right or query.get("hub.mode") != "subscribe" or "hub.challenge" not in query:
            raise Unverified
        return query["hub.challenge"]

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raise `Unverified` unless the body is signed with the app's secret."""
        signed = "sha256=" + hmac.digest(self._app_secret, body, hashlib.sha256).hex()
        given = headers.get(SIGNATURE_HEADER, "").encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(given, signed.encode()):
            raise Unverified

    def parse(self, body: bytes) -> Sequence[Incoming | Receipt | Notice]:
        """All that a webhook tells; nothing for what is of no concern. Raises `Malformed`."""
        return whatsapp_webhook.read(body, self._phone_number_id)

    # Sending

    def room(self, buttons: Sequence[Button]) -> int:
        """1024 characters above buttons or a list; what numbered lines leave above those."""
        if not buttons:
            return self.longest
        if len(buttons) <= MOST_ROWS:
            return LONGEST_INTERACTIVE
        lines = sum(len(button.title) + len("99. \n") for button in buttons)
        return max(self.longest - lines - len("\n\n"), 1)

    def caption(self, media_type: str) -> int | None:
        """1024 characters under a picture, none under a voice."""
        return {"image/jpeg": LONGEST_CAPTION, **dict.fromkeys(VOICES, 0)}.get(media_type)

    async def send(self, address: str, message: Outgoing) -> str:
        """Send one message; the platform's id of it."""
        if message.template is not None:
            return await self._post(address, message.id, template(message.template, message.language, message.buttons))
        if message.file is not None:
            return await self._post(address, message.id, await self._shown(message.file, readable(message.text)))
        content = contents(readable(message.text), message.buttons, message.language, self.longest)
        return await self._post(address, message.id, content)

    async def _post(self, address: str, our_id: str, content: Mapping[str, Any]) -> str:
        if whatsapp_webhook.PHONE.fullmatch(address):
            receiver = {"to": address}
        elif whatsapp_webhook.USER_ID.fullmatch(address):
            receiver = {"recipient": address}
        else:
            raise Refused("not a WhatsApp address")
        ours = {"biz_opaque_callback_data": our_id}
        envelope = {"messaging_product": "whatsapp", "recipient_type": "individual", **receiver, **ours, **content}
        answer = await self._call("POST", self._messages, json=envelope)
        messages = answer.get("messages")
        sent = messages[0] if isinstance(messages, list) and messages else None
        if not isinstance(sent, dict) or not isinstance(sent.get("id"), str) or not sent["id"]:
            raise Ambiguous("the answer cannot be read")
        return readable(sent["id"])

    async def _shown(self, file: File, words: str) -> Mapping[str, Any]:
        """A picture with what stands under it, or a voice, uploaded anew at each try: what WhatsApp keeps of us goes
        by itself."""
        room = self.caption(file.media_type)
        if room is None or len(words) > room or len(file.content) > largest_file(file.media_type):
            raise Refused("a file that is not taken, or more text than may stand under it")
        form = {"messaging_product": "whatsapp", "type": file.media_type}
        upload = {"file": (file.media_type.replace("/", "."), file.content, file.media_type)}
        try:
            given = await self._call("POST", self._media, data=form, files=upload, timeout=_UPLOAD)
        except Ambiguous:  # whatever arrived, nobody was sent it
            raise Retryable("the file's upload broke off") from None
        if not isinstance(given.get("id"), str):
            raise Retryable("the file was not taken")
        kind = file.media_type.partition("/")[0]
        return {"type": kind, kind: {"id": given["id"], **({"caption": words} if words else {})}}

    async def typing(self, details: Mapping[str, Any]) -> None:
        """Mark this message as read and show « writing… » until the answer, 25 seconds at most. Never raises.

        To be called when its turn begins, not when it arrives: « read » says that somebody has seen it.
        """
        message_id = details.get("message_id")
        if not isinstance(message_id, str):
            return
        seen = {"messaging_product": "whatsapp", "status": "read", "message_id": message_id}
        try:
            async with asyncio.timeout(_COURTESY):
                await self._call("POST", self._messages, json={**seen, "typing_indicator": {"type": "text"}})
        except (SendError, TimeoutError, RuntimeError) as error:  # the last: closed meanwhile
            log.debug("not shown", channel=self.name, error=type(error).__name__)

    # Files

    async def download(self, details: Mapping[str, Any]) -> tuple[bytes, str]:
        """The file of a message that has one, if it is of a kind and size that we take, and its type.

        WhatsApp keeps files for a few days only, so the first try comes at once.
        """
        media_id, mime_type = str(details.get("media_id", "")), str(details.get("mime_type", ""))
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", media_id):
            raise Refused("there is no file")
        largest = largest_file(mime_type)
        found = await self._file(f"{self._api}/{media_id}", {"phone_number_id": self._phone_number_id})
        size, url = found.get("file_size"), str(found.get("url", ""))
        if str(size).isdigit() and int(str(size)) > largest:
            raise Refused("too large")
        content = await self._bytes(url, largest)
        announced = str(details.get("sha256") or found.get("sha256") or "")
        digest = hashlib.sha256(content)
        if announced not in (digest.hexdigest(), base64.b64encode(digest.digest()).decode()):
            raise Refused("not the file that was announced")
        return content, mime_type

    async def _file(self, url: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        try:
            return await self._call("GET", url, params=query)
        except (Ambiguous, Retryable):
            raise Retryable("the file's address was not given") from None
        except SendError:
            raise Refused("WhatsApp does not have the file any more") from None

    async def _bytes(self, url: str, largest: int) -> bytes:
        """What is at this address: Meta's, or it does not get the token."""
        try:
            there, api = httpx.URL(url), httpx.URL(self._api)
        except httpx.InvalidURL:
            raise Refused("the file's address is none") from None
        ours = (there.scheme, there.netloc) == (api.scheme, api.netloc)
        if not ours and not (there.scheme == "https" and _FILES_LIVE.fullmatch(there.host)):
            raise Refused("the file's address is not Meta's")
        failed: SendError
        try:
            async with self._http.stream("GET", there) as answer:
                if answer.status_code == 200:
                    content = bytearray()
                    async for piece in answer.aiter_bytes():
                        content += piece
                        if len(content) > largest:
                            raise Refused("too large")
                    return bytes(content)
                failed = (
                    Retryable(f"HTTP {answer.status_code}")
                    if answer.status_code == 429 or answer.status_code >= 500
                    else Refused("WhatsApp does not give the file")
                )
        except httpx.HTTPError:
            failed = Retryable("the file was not received")
        raise failed  # outside the handler: httpx's exception has the file's address, which opens it

    async def close(self) -> None:
        """Let connections go."""
        await self._http.aclose()

    async def _call(self, method: str, url: str, **given: Any) -> Mapping[str, Any]:
        """The answer of the Graph API, an object; raises a `SendError`, with nothing of HTTP attached."""
        failed: SendError
        try:
            response = await self._http.request(method, url, **given)
        except _NOT_REACHED:
            failed = Retryable("WhatsApp was not reached")
        except httpx.HTTPError:
            failed = Ambiguous("the connection broke before the answer")
        else:
            answer = _object_in(response)
            error = answer.get("error") if answer is not None else None
            if response.is_success and answer is not None and error is None:
                return answer
            if response.is_success and error is None:
                failed = Ambiguous("the answer cannot be read")
            else:
                failed = failure(code_of(error), response.status_code, _retry_after(response))
        raise failed


def largest_file(mime_type: str) -> int:
    """How many bytes a file of this type may have; `Refused` for a type that we do not take."""
    for kind, megabytes in LARGEST_FILES.items():
        if mime_type.lower().startswith(kind):
            return megabytes * 1024 * 1024
    raise Refused("a type of file that is not taken")


def versioned(api_url: str) -> str:
    """The Graph API's address with a version in it."""
    return api_url if _VERSION.search(api_url) else f"{api_url}/{API_VERSION}"


# What a message looks like


def contents(words: str, buttons: Sequence[Button], language: Language, longest: int) -> Mapping[str, Any]:
    """A message's content.

    Up to three buttons are buttons, up to ten rows of a list; more are numbered lines, answered by typing.
    """
    if not words.strip():
        raise Refused("nothing to say")
    if len(words) > longest:
        raise Refused(f"longer than {longest} characters")
    if not buttons:
        return text(words)
    if len(buttons) > MOST_ROWS:
        lines = "\n".join(f"{number}. {_title(button)}" for number, button in enumerate(buttons, 1))
        whole = f"{words}\n\n{lines}"
        if len(whole) > longest:
            raise Refused("more choices than a message can hold")
        return text(whole)
    if len(words) > LONGEST_INTERACTIVE:
        raise Refused(f"longer than {LONGEST_INTERACTIVE} characters, with buttons")
    few = len(buttons) <= MOST_BUTTONS
    for button in buttons:
        if not 1 <= len(button.id) <= (BUTTON_ID if few else ROW_ID) or button.id != button.id.strip():
            raise Refused("a button's id is empty, too long or begins or ends with a space")
    return {"type": "interactive", "interactive": _choices(words, buttons, language, few)}


def _choices(asked: str, buttons: Sequence[Button], language: Language, few: bool) -> Mapping[str, Any]:
    titles = distinct([_title(button) for button in buttons], BUTTON_TITLE if few else ROW_TITLE)
    if few:
        replies = [
            {"type": "reply", "reply": {"id": button.id, "title": title}}
            for button, title in zip(buttons, titles, strict=True)
        ]
        return {"type": "button", "body": {"text": asked}, "action": {"buttons": replies}}
    rows = []
    for button, title in zip(buttons, titles, strict=True):
        whole = _title(button)
        described = {"description": shortened(whole, ROW_DESCRIPTION)} if whole != title else {}
        rows.append({"id": button.id, "title": title, **described})
    opens = i18n.say("list.open", language)
    return {"type": "list", "body": {"text": asked}, "action": {"button": opens, "sections": [{"rows": rows}]}}


def text(words: str) -> Mapping[str, Any]:
    """A plain text, without a preview of what it links to."""
    return {"type": "text", "text": {"body": words, "preview_url": False}}


def template(asked: Template, language: Language, buttons: Sequence[Button]) -> Mapping[str, Any]:
    """A template's name and values; `NoTemplate` for one that would go on being delivered for too long."""
    known = whatsapp_templates.find(asked.name)
    if known is None or language not in known.texts:
        raise NoTemplate("not among our templates")
    if asked.seconds is not None and asked.seconds < known.seconds:
        raise NoTemplate("it could arrive too late")
    if len(asked.values) != len(known.examples.get(language, ())):
        raise Refused("not the values that this template has")
    components: list[Mapping[str, Any]] = []
    if asked.values:
        values = [{"type": "text", "text": _value(value)} for value in asked.values]
        components.append({"type": "body", "parameters": values})
    titles = known.buttons.get(language, ())
    pressed = [button.id for button in buttons] or ([OPENS] * len(titles) if known.opens else [])
    for index, press in enumerate(pressed[: len(titles)]):
        payload = [{"type": "payload", "payload": press}]
        components.append({"type": "button", "sub_type": "quick_reply", "index": str(index), "parameters": payload})
    filled = {"components": components} if components else {}
    code = {"code": language, "policy": "deterministic"}
    return {"type": "template", "template": {"name": asked.name, "language": code, **filled}}


def _value(value: str) -> str:
    """A template's value may hold no line break, no tab, no run of spaces, and not be empty."""
    return " ".join(readable(value).split())[:256] or "-"


def _title(button: Button) -> str:
    title = " ".join(readable(button.title).split())
    if not title:
        raise Refused("a button without a title")
    return title


def distinct(titles: Sequence[str], longest: int) -> list[str]:
    """The titles cut to this length, no two the same: those that would be end with a number."""
    given: list[str] = []
    for title in titles:
        short, number = shortened(title, longest), 1
        while short in given:
            number += 1
            short = f"{shortened(title, longest - len(str(number)) - 1)} {number}"
        given.append(short)
    return given


def shortened(words: str, longest: int) -> str:
    """At most this many characters, never half a letter or emoji; « … » says that it was cut."""
    if len(words) <= longest:
        return words
    short = ""
    for letter in regex.findall(r"\X", words):
        if len(short) + len(letter) > longest - 1:
            break
        short += letter
    return short.rstrip() + "…"


def _object_in(response: httpx.Response) -> Mapping[str, Any] | None:
    try:
        answer = response.json()
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _retry_after(response: httpx.Response) -> float | None:
    given = response.headers.get("retry-after", "")
    return float(given) if re.fullmatch(r"\d{1,6}", given) else None
