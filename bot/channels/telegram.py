"""Telegram: updates by webhook or by long polling, messages by the Bot API.

Sending goes through python-telegram-bot; reading does not: its types raise at one missing field anywhere in
an update, and an update that cannot be read is a person who is not heard. What we need is read, and checked.

Two facts of the Bot API shape this file. Update ids begin again at a random number after a quiet week: events
are told apart by equality, never by order, and an offset is sent only to confirm. The token is part of every
address: no address gets into a log or an exception.
"""

from __future__ import annotations

import asyncio
import hmac
import io
import json
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NoReturn, Self, TypeVar
from urllib.parse import urlencode

import httpx
import structlog
from PIL import Image, ImageDraw
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from telegram import (
    Bot,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputProfilePhotoStatic,
    LinkPreviewOptions,
    Message,
)
from telegram.constants import ChatAction, InlineKeyboardButtonLimit, MessageLimit
from telegram.error import BadRequest, Forbidden, InvalidToken, TelegramError
from telegram.request import HTTPXRequest

from bot import faults, i18n
from bot.channels import Limits, Malformed, Rate, Unverified
from bot.channels.body import read_json, readable
from bot.db.models import ChannelState
from bot.db.session import Database, Lane
from bot.messages import (
    LANGUAGES,
    Ambiguous,
    Button,
    ChannelDown,
    Document,
    File,
    Incoming,
    Kind,
    Moved,
    Outgoing,
    Refused,
    Retryable,
    SendError,
    Throttled,
    Unreachable,
)
from bot.settings import Settings, SettingsError

log = structlog.get_logger()
Answer = TypeVar("Answer")
Accept = Callable[[Sequence[Incoming]], Awaitable[object]]

WEBHOOK_PATH = "/telegram/webhook"
SECRET_HEADER = "x-telegram-bot-api-secret-token"  # noqa: S105 (a header's name)
LATE_EDIT = 24 * 3600  # seconds for which Telegram keeps updates: an older message came long ago
ALLOWED_UPDATES = ("message", "edited_message", "callback_query", "my_chat_member")
MAX_CONNECTIONS = 40
COMMANDS = {  # what the menu offers, and the text that says what it does
    "help": "profile.help", "language": "profile.language", "stop": "profile.stop", "start": "profile.start",
    "mydata": "profile.my_data", "delete": "profile.delete",
}  # fmt: skip

# A message's content, the more telling name first: an animation is also a document, a venue also a location.
MEDIA = (
    "voice", "audio", "animation", "photo", "video", "video_note", "document", "sticker", "venue", "location",
    "contact", "dice", "poll", "checklist", "story", "paid_media", "game", "invoice",
)  # fmt: skip
FILES = ("voice", "audio", "photo", "video", "video_note", "document")  # what somebody may have to look at
# What Telegram itself writes into a private chat: nobody said anything.
SERVICE = (
    "pinned_message", "message_auto_delete_timer_changed", "connected_website", "write_access_allowed",
    "chat_background_set", "users_shared", "chat_shared", "successful_payment", "refunded_payment", "gift",
    "unique_gift", "boost_added", "giveaway_created", "giveaway", "giveaway_winners", "giveaway_completed",
    "proximity_alert_triggered", "web_app_data", "passport_data", "checklist_tasks_done",
    "checklist_tasks_added", "forum_topic_created", "forum_topic_edited", "forum_topic_closed",
    "forum_topic_reopened", "gift_upgrade_sent", "managed_bot_created", "poll_option_added",
    "poll_option_deleted", "suggested_post_approved", "suggested_post_approval_failed",
    "suggested_post_declined", "suggested_post_paid", "suggested_post_refunded", "user_shared",
)  # fmt: skip
FORMATS = {"mpeg": "mp3", "mp4": "m4a"}  # how files of these types end
GROUP_TYPES = ("group", "supergroup", "channel")
GROUP_ONCE = 600  # seconds in which everything that happens in a group is one event: one good-bye, not twenty

_START = re.compile(r"/start(?:@\w+)?(?:\s+(.*))?", re.IGNORECASE | re.DOTALL)
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")
_WHOLE_CHANNEL = re.compile(r"\b(?:all chats|broadcast|globally|overall)\b")
_GONE = (
    "chat not found", "user not found", "user is deactivated", "peer_id_invalid", "bot was blocked",
    "bot was kicked", "group chat was deactivated", "chat_write_forbidden", "not enough rights",
    "have no rights",
)  # fmt: skip
_NOT_REACHED = (
    httpx.ConnectError,  # refused, no such name, no TLS
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)
_COURTESY = 3.0  # seconds that a call may take which nobody will miss
_BIGGEST = 2**63
_POLLER = 1  # the lock's key: one poller for the whole installation


class Telegram:
    """The Telegram channel.

    `per_second` is how many messages may go to all chats; `patience` is seconds for one call, `hold` for one long
    poll, `pause` between a failure and the next try.
    """

    name = "telegram"
    longest = int(MessageLimit.MAX_TEXT_LENGTH)
    longest_caption = int(MessageLimit.CAPTION_LENGTH)
    # 1 a second in a chat with short bursts, 30 in any second over all of them (a little less: calls take
    # different times to arrive); most of these for what nobody waits for

    def __init__(
        self,
        token: str,
        api_url: str,
        webhook_secret: str | None,
        *,
        per_second: int = 26,
        patience: float = 10.0,
        hold: float = 25.0,
        pause: float = 1.0,
    ) -> None:
        # a chat's burst: who writes fast is answered as fast; Telegram means one a second over time
        self.limits = Limits(chat=Rate(1, 20), channel=Rate(per_second, 3), unasked=Rate(max(per_second - 3, 1), 1))
        self._secret = webhook_secret
        self._bot_id = token.partition(":")[0]
        self._base = f"{api_url}/bot"
        self._token = token
        self._hold = hold
        self._pause = pause
        self._filter = _WithoutToken(token)
        for logger in _talkative():
            logger.setLevel(logging.WARNING)
            logger.addFilter(self._filter)
        self._request = _Request(64, read_timeout=patience, write_timeout=patience, connect_timeout=patience)
        self._polling = _Request(1, read_timeout=hold + patience, write_timeout=patience, connect_timeout=patience)
        self._files = HTTPXRequest(2, read_timeout=patience, write_timeout=patience, connect_timeout=patience)
        self._bot = Bot(
            token,
            base_url=self._base,
            base_file_url=f"{api_url}/file/bot",
            request=self._request,
            get_updates_request=self._polling,
        )

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The channel that these settings describe; `SettingsError` without a token."""
        if settings.telegram_token is None:
            raise SettingsError("TELEGRAM_TOKEN is missing: @BotFather gives it")
        secret = settings.telegram_webhook_secret
        return cls(
            settings.telegram_token.get_secret_value(),
            settings.telegram_api_url,
            secret.get_secret_value() if secret is not None else None,
            per_second=settings.telegram_messages_per_second,
        )

    def __repr__(self) -> str:
        return "Telegram()"  # never the token

    # Reading

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raise `Unverified` unless the secret of `set_webhook` came along; the body itself is not signed."""
        given = headers.get(SECRET_HEADER, "").encode("utf-8", "surrogatepass")
        if self._secret is None or not hmac.compare_digest(given, self._secret.encode()):
            raise Unverified

    def parse(self, body: bytes) -> Sequence[Incoming]:
        """The events of one update; none when it is of no concern, or of no shape that we know.

        Raises `Malformed` for what is no JSON. Anything else that was refused would come again and again, before all
        others.
        """
        update = read_json(body)
        try:
            return self._read(update)
        except Malformed as error:
            update_id = update.get("update_id") if isinstance(update, dict) else None
            known = update_id if isinstance(update_id, int) else None
            log.error("update skipped", channel=self.name, update_id=known, reason=str(error))
            return []

    def _read(self, update: object) -> list[Incoming]:
        update = _mapping(update)
        update_id = _number(update.get("update_id"))
        if "message" in update:
            return self._read_message(update_id, _mapping(update["message"]))
        if "edited_message" in update:
            return self._read_edit(update_id, _mapping(update["edited_message"]))
        if "callback_query" in update:
            return self._read_press(update_id, _mapping(update["callback_query"]))
        if "my_chat_member" in update:
            return self._read_membership(update_id, _mapping(update["my_chat_member"]))
        if "channel_post" in update:  # not asked for; an older registration may have been
            post = _mapping(update["channel_post"])
            chat = _mapping(post.get("chat"))
            return [self._group(chat, post, "message")] if chat.get("type") in GROUP_TYPES else []
        return []

    def _read_message(self, update_id: int, message: Mapping[str, Any]) -> list[Incoming]:
        chat, sender = _mapping(message.get("chat")), _mapping(message.get("from", {}))
        if sender.get("is_bot") is True:
            return []
        kind_of_chat = chat.get("type")
        if kind_of_chat in GROUP_TYPES:
            return [] if "left_chat_member" in message else [self._group(chat, message, "message", sender)]
        if kind_of_chat != "private":
            return []
        address = str(_number(chat.get("id")))
        _number(message.get("date"))
        external_id = self._message_id(address, message)
        if "text" in message:
            words = _words(message["text"])
            start = _START.fullmatch(words.strip())
            if start is not None:
                return [self._event(external_id, address, Kind.START, sender, text=(start[1] or "").strip())]
            return [self._event(external_id, address, Kind.TEXT, sender, text=words)]
        caption = _words(message.get("caption", ""))
        details = _media(message)
        if details:
            return [self._event(external_id, address, Kind.MEDIA, sender, text=caption, details=details)]
        if any(name in message for name in SERVICE):
            return []
        return [self._event(external_id, address, Kind.UNKNOWN, sender, text=caption)]

    def _read_edit(self, update_id: int, message: Mapping[str, Any]) -> list[Incoming]:
        chat, sender = _mapping(message.get("chat")), _mapping(message.get("from", {}))
        if sender.get("is_bot") is True or chat.get("type") != "private":
            return []
        edited = _number(message.get("edit_date", message.get("date")))
        words = _words(message.get("text", message.get("caption", "")))
        address = str(_number(chat.get("id")))
        details: dict[str, Any] = {"original": self._message_id(address, message), "sent_at": edited}
        media = _media(message)
        if ("text" in message or media) and edited - _number(message.get("date")) < LATE_EDIT:
            details |= {"whole": True, **media}  # it says all that its message said
        return [self._event(f"u{update_id}:{edited}", address, Kind.EDITED, sender, text=words, details=details)]

    def _read_press(self, update_id: int, query: Mapping[str, Any]) -> list[Incoming]:
        """A pressed button; its id may be anything, whoever sends it: what it means is decided elsewhere."""
        sender, query_id = _mapping(query.get("from")), _words(query.get("id"))
        if sender.get("is_bot") is True:
            return []
        details = {"callback_query_id": query_id}
        message = _mapping(query.get("message", {}))  # absent when the message is too old
        chat = _mapping(message.get("chat", {}))
        if chat.get("type") in GROUP_TYPES:
            return [self._group(chat, message, "press", sender, details)]
        address = str(_number(chat["id"] if "id" in chat else sender.get("id")))
        # a press has no date of its own; its query id is as unique
        return [
            self._event(
                f"u{update_id}:{query_id}",
                address,
                Kind.PRESS,
                sender,
                press=_words(query.get("data", "")),
                details=details,
            )
        ]

    def _read_membership(self, update_id: int, change: Mapping[str, Any]) -> list[Incoming]:
        chat, sender = _mapping(change.get("chat")), _mapping(change.get("from", {}))
        before = _membership(change.get("old_chat_member"))
        after = _membership(change.get("new_chat_member"))
        if chat.get("type") in GROUP_TYPES:
            added = after in ("member", "administrator", "restricted") and before in ("left", "kicked", "")
            return [self._group(chat, change, "added", sender)] if added else []
        kind = {"kicked": Kind.BLOCKED, "member": Kind.UNBLOCKED}.get(after)
        if chat.get("type") != "private" or kind is None:
            return []
        date = _number(change.get("date"))
        details = {"sent_at": date}
        return [self._event(f"u{update_id}:{date}", str(_number(chat.get("id"))), kind, sender, details=details)]

    def _message_id(self, address: str, message: Mapping[str, Any]) -> str:
        """A private message for ever: its number in this chat with this bot, which an edit names again."""
        return f"m{self._bot_id}:{address}:{_number(message.get('message_id'))}"

    def _group(
        self,
        chat: Mapping[str, Any],
        happened: Mapping[str, Any],
        why: Literal["added", "message", "press"],
        sender: Mapping[str, Any] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Incoming:
        address = str(_number(chat.get("id")))
        period = _number(happened.get("date")) // GROUP_ONCE
        return self._event(
            # each press must be answered, so it is never folded into what came before
            f"g{address}:{(details or {}).get('callback_query_id', period)}",
            address,
            Kind.GROUP,
            sender or {},
            details={"chat_type": chat["type"], "why": why, **(details or {})},
        )

    def _event(
        self,
        external_id: str,
        address: str,
        kind: Kind,
        sender: Mapping[str, Any],
        *,
        text: str = "",
        press: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> Incoming:
        language = sender.get("language_code")
        hint = language if isinstance(language, str) and _LANGUAGE.fullmatch(language) else None
        return Incoming(self.name, external_id, address, kind, text, press, hint, details or {})

    # Sending

    def room(self, buttons: Sequence[Button]) -> int:
        """Buttons take nothing from the text."""
        return self.longest

    def caption(self, media_type: str) -> int:
        """Every file takes a text under it."""
        return self.longest_caption

    async def send(self, address: str, message: Outgoing) -> str:
        """Send one message as plain text, one button a row; in a group, leave it afterwards."""
        chat = _chat(address)
        words = readable(message.text)
        longest = self.longest if message.document is None and message.file is None else self.longest_caption
        if len(words) > longest:
            raise Refused(f"longer than {longest} characters")
        sizes = [len(button.id.encode()) for button in message.buttons]
        if any(not 1 <= size <= InlineKeyboardButtonLimit.MAX_CALLBACK_DATA for size in sizes):
            raise Refused("a button's id is empty or longer than 64 bytes")
        if chat < 0:
            return await self._say_and_leave(chat, words)
        rows = [[InlineKeyboardButton(readable(button.title), callback_data=button.id)] for button in message.buttons]
        keyboard = InlineKeyboardMarkup(rows) if rows else None
        return await self._say(chat, words, keyboard, message.document, message.file)

    async def _say(
        self,
        chat: int,
        words: str,
        keyboard: InlineKeyboardMarkup | None = None,
        document: Document | None = None,
        file: File | None = None,
    ) -> str:
        if file is not None:
            sent = await _call(self._upload(file)(chat, caption=words or None, reply_markup=keyboard))
        elif document is None:
            sent = await _call(
                self._bot.send_message(
                    chat, words, reply_markup=keyboard, link_preview_options=LinkPreviewOptions(is_disabled=True)
                )
            )
        else:
            content = document.content.encode()
            sent = await _call(
                self._bot.send_document(chat, content, caption=words, filename=document.name, reply_markup=keyboard)
            )
        if not isinstance(sent, Message):
            raise Ambiguous("the answer cannot be read")
        return str(sent.message_id)

    def _upload(self, file: File) -> Callable[..., Awaitable[Message]]:
        """The call that shows a file of this type as what it is: seen or heard where it stands, if it can be."""
        kind, _, format_ = file.media_type.partition("/")
        if kind == "image":
            return partial(self._bot.send_photo, photo=file.content, filename="picture.jpg")
        if format_ == "ogg":
            return partial(self._bot.send_voice, voice=file.content, filename="voice.ogg")
        if format_ in ("mpeg", "mp4"):
            return partial(self._bot.send_audio, audio=file.content, filename=f"voice.{FORMATS[format_]}")
        return partial(self._bot.send_document, document=file.content, filename=f"voice.{format_}")

    async def _say_and_leave(self, chat: int, words: str) -> str:
        """A group is told why and left: what is said here concerns nobody but the person."""
        try:
            sent = await self._say(chat, words)
        except (Unreachable, Refused):
            await self._leave(chat)  # not allowed to speak: leave without a word
            raise
        await self._leave(chat)
        return sent

    async def _leave(self, chat: int) -> None:
        try:
            await _call(self._bot.leave_chat(chat))
        except SendError as error:  # the next thing said in that group brings us here again
            log.warning("still in a group", channel=self.name, error=type(error).__name__)

    async def acknowledge(self, details: Mapping[str, Any]) -> None:
        """Stop the pressed button's clock; call it as soon as the press is stored. Never raises."""
        query_id = details.get("callback_query_id")
        if isinstance(query_id, str):
            await self._try(self._bot.answer_callback_query(query_id))

    async def writing(self, address: str) -> None:
        """Show « writing… » for five seconds or until the answer. Never raises."""
        await self._try(self._bot.send_chat_action(address, ChatAction.TYPING))

    async def _try(self, request: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(_COURTESY):
                await _call(request)
        except (SendError, TimeoutError) as error:
            log.debug("not shown", channel=self.name, error=type(error).__name__)

    async def download(self, details: Mapping[str, Any]) -> tuple[bytes, str]:
        """A voice message or picture that somebody sent; Telegram gives out 20 MB at most."""
        file_id = details.get("file_id")
        if not isinstance(file_id, str):
            raise Refused("no file")
        found = await _call(self._bot.get_file(file_id))
        failure: SendError
        try:  # its address holds the token: no exception of HTTP gets out of here
            content = await self._files.retrieve(str(found.file_path))
        except TelegramError as error:
            gone = isinstance(error, BadRequest | Forbidden | InvalidToken)
            failure = Refused("the file is gone") if gone else Retryable("the file did not come")
        else:
            return bytes(content), str(details.get("mime") or "")
        raise failure

    async def close(self) -> None:
        """Let connections go."""
        await self._request.shutdown()
        await self._files.shutdown()
        await self._polling.shutdown()
        for logger in _talkative():
            logger.removeFilter(self._filter)

    # Receiving

    async def set_webhook(self, public_url: str) -> None:
        """Have Telegram post to `public_url` + `WEBHOOK_PATH`; tried until Telegram answers.

        Raises `Refused` if it says no, `SettingsError` without a secret: no request could be trusted.
        """
        if self._secret is None:
            raise SettingsError("TELEGRAM_WEBHOOK_SECRET is missing: give it 16 or more letters and digits")
        failures = 0
        while True:
            try:
                await _call(
                    self._bot.set_webhook(
                        public_url.rstrip("/") + WEBHOOK_PATH,
                        allowed_updates=ALLOWED_UPDATES,
                        max_connections=MAX_CONNECTIONS,
                        secret_token=self._secret,
                    )
                )
            except (Retryable, Ambiguous) as error:  # saying it twice does no harm
                failures += 1
                log.warning("webhook not set yet", channel=self.name, error=type(error).__name__)
                await asyncio.sleep(self._backoff(failures, error))
            except SendError as error:
                log.error("webhook refused", channel=self.name, reason=str(error))
                raise
            else:
                return

    async def reaches_us(self) -> bool:
        """Whether Telegram answers and, where it posts to us, gets through with what it has. Never raises."""
        try:
            found = await _call(self._bot.get_webhook_info())
        except SendError:
            return False
        return not (found.url and found.pending_update_count and found.last_error_date)

    async def set_profile(self) -> None:
        """The bot's name, descriptions and commands in each language, the first also for everybody else.

        They are seen by whoever looks at the phone: nothing in them says what people write about.
        """
        for language in LANGUAGES:
            for code in [language] if language != LANGUAGES[0] else ["", language]:
                commands = [(command, i18n.say(text_id, language)) for command, text_id in COMMANDS.items()]
                await _call(self._bot.set_my_commands(commands, language_code=code or None))
                await _call(self._bot.set_my_name(i18n.say("profile.name", language), language_code=code or None))
                about, short = i18n.say("profile.description", language), i18n.say("profile.short", language)
                await _call(self._bot.set_my_description(about, language_code=code or None))
                await _call(self._bot.set_my_short_description(short, language_code=code or None))

    async def set_picture(self, picture: bytes) -> None:
        """The bot's picture, a JPEG."""
        await _call(self._bot.set_my_profile_photo(InputProfilePhotoStatic(picture)))

    async def delete_webhook(self) -> None:
        """Have Telegram keep updates until they are asked for; those it holds are kept."""
        await _call(self._bot.delete_webhook(drop_pending_updates=False))

    async def poll(self, accept: Accept, database: Database) -> None:
        """Fetch updates for ever; Telegram may forget one only after `accept` returned, which is its commit.

        One process polls, whoever holds the lock; the others stand by. Whatever fails is tried again.
        """
        while True:
            try:
                async with database.holding(Lane.POLLING, _POLLER) as connection:
                    if connection is not None:
                        await self._fetch(accept, connection)
            except Exception as error:  # the database: nothing was confirmed, nothing is lost
                log.warning("polling interrupted", channel=self.name, error=type(error).__name__)
            await asyncio.sleep(self._pause)

    async def _fetch(self, accept: Accept, connection: AsyncConnection) -> NoReturn:
        """Poll while this connection, and so the lock, lives."""
        offset = await self._unconfirmed(connection)
        failures = 0
        while True:
            await connection.scalar(select(1))  # raises when the connection, and with it the lock, is gone
            await connection.commit()
            began = time.monotonic()
            try:
                updates = await self._updates(offset)
                events, last = self._sort(updates)
                if events:
                    await accept(events)
                    faults.point("telegram.accepted")
            except Exception as error:  # the network, Telegram or the inbox: the same offset once more
                failures += 1
                await self._after(error, failures)
                continue
            failures = 0
            if last is not None:
                offset = last + 1
                await self._keep(connection, offset, confirmed=False)
                faults.point("telegram.kept")
            elif offset is not None:  # Telegram has seen the offset: sent again in a week it would do harm
                await self._keep(connection, offset, confirmed=True)
                offset = None
            if last is None and time.monotonic() - began < self._pause:  # a server that does not hold
                await asyncio.sleep(self._pause)

    async def _updates(self, offset: int | None) -> list[Any]:
        """The raw updates: python-telegram-bot's own call drops all of them when one cannot be read."""
        asked = {"timeout": int(self._hold), "allowed_updates": json.dumps(ALLOWED_UPDATES)}
        if offset is not None:
            asked["offset"] = offset
        payload = await self._polling.retrieve(f"{self._base}{self._token}/getUpdates?{urlencode(asked)}")
        updates = read_json(payload).get("result")
        if not isinstance(updates, list):
            raise Malformed("no list of updates")
        return updates

    def _sort(self, updates: Sequence[Any]) -> tuple[list[Incoming], int | None]:
        """What these updates say and the last one's id; one that cannot be read does not stop the next."""
        events: list[Incoming] = []
        last: int | None = None
        for update in updates:
            update_id = update.get("update_id") if isinstance(update, dict) else None
            if isinstance(update_id, int):
                last = update_id
            try:
                events += self._read(update)
            except Exception as error:
                kind = type(error).__name__
                log.error("update skipped", channel=self.name, update_id=update_id, error=kind)
        return events, last

    async def _after(self, error: Exception, failures: int) -> None:
        """What a failed round asks for, and a pause."""
        refusal = error.failure if isinstance(error, _Failed) else error
        log.warning("no updates", channel=self.name, error=type(refusal).__name__, failures=failures)
        if isinstance(error, _Failed) and error.code in (401, 404):
            log.error("TELEGRAM_TOKEN is wrong or revoked", channel=self.name)
        if isinstance(error, _Failed) and error.code == 409 and "webhook" in str(refusal).lower():
            try:
                await self.delete_webhook()
            except SendError as unsuccessful:
                log.warning("webhook not deleted", channel=self.name, error=type(unsuccessful).__name__)
        await asyncio.sleep(self._backoff(failures, refusal))

    def _backoff(self, failures: int, error: Exception) -> float:
        """Seconds: what Telegram asks for, else 1, 2, 4 … 30 pauses, a fifth more or less."""
        if isinstance(error, Retryable) and error.retry_after is not None:
            return error.retry_after
        pauses = min(2.0 ** min(failures - 1, 9), 30.0)
        return self._pause * pauses * random.uniform(0.8, 1.2)  # noqa: S311 (jitter)

    async def _unconfirmed(self, connection: AsyncConnection) -> int | None:
        """The offset that Telegram has not been told yet; this bot's, for another's would lose updates."""
        kept = await connection.scalar(select(ChannelState.value).where(ChannelState.channel == self.name))
        await connection.commit()
        if not kept or kept.get("bot") != self._bot_id or kept.get("confirmed"):
            return None
        return int(kept["offset"])

    async def _keep(self, connection: AsyncConnection, offset: int, *, confirmed: bool) -> None:
        """Written on the lock's own connection: who lost the lock cannot write."""
        value = {"bot": self._bot_id, "offset": offset, "confirmed": confirmed}
        state = insert(ChannelState).values(channel=self.name, value=value)
        await connection.execute(
            state.on_conflict_do_update(index_elements=[ChannelState.channel], set_={"value": value})
        )
        await connection.commit()


# What failed


class _Failed(TelegramError):
    """A failed call in our own words, let through by python-telegram-bot; `code` is the answer's, if any."""

    def __init__(self, failure: SendError, code: int | None = None) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.code = code


class _Request(HTTPXRequest):
    """python-telegram-bot's HTTP, where every failure becomes a `SendError` with no address in it.

    Done here because here alone one still sees whether the request was written and what the answer was.
    """

    async def do_request(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        """As the parent's; raises `_Failed` for anything but a good answer."""
        failed: _Failed | None
        try:
            code, payload = await super().do_request(*args, **kwargs)
        except Exception as error:
            cause = error.__cause__ if isinstance(error, TelegramError) else error
            failed = _Failed(_lost(cause))
        else:
            failed = _refusal(code, payload)
        if failed is None:
            return code, payload
        raise failed  # outside the handler, so that httpx's exception with its address does not hang on to it


def _lost(cause: BaseException | None) -> SendError:
    """No answer came: was the request written?"""
    if isinstance(cause, _NOT_REACHED):
        return Retryable("Telegram was not reached")
    if isinstance(cause, httpx.HTTPError):
        return Ambiguous("the connection broke before the answer")
    return Retryable("the request could not be made")


def _refusal(code: int, payload: bytes) -> _Failed | None:
    """What this answer means; None for a good one."""
    try:
        answer = json.loads(payload)
    except (ValueError, RecursionError):
        answer = None
    answer = answer if isinstance(answer, dict) else {}
    if code < 300:
        if answer.get("ok") is True and "result" in answer:
            return None
        if answer.get("ok") is not False or not isinstance(answer.get("error_code"), int):
            return _Failed(Ambiguous("the answer cannot be read"), code)
        code = answer["error_code"]
    return _Failed(_classified(code, answer), code)


def _classified(code: int, answer: Mapping[str, Any]) -> SendError:
    """The kind of failure, by code first; by words only where the Bot API has nothing else."""
    description = str(answer.get("description") or "")[:200]
    words = description.lower()
    parameters = answer.get("parameters")
    parameters = parameters if isinstance(parameters, dict) else {}
    moved, wait = parameters.get("migrate_to_chat_id"), parameters.get("retry_after")
    retry_after = float(wait) if isinstance(wait, int | float) and wait > 0 else None
    if isinstance(moved, int):
        return Moved(str(moved))
    if code == 429:
        return Throttled("too fast", retry_after, "channel" if _WHOLE_CHANNEL.search(words) else "unsaid")
    if code >= 500:
        return Retryable(f"Telegram answered {code}", retry_after)
    if code == 403 or (code == 400 and any(sign in words for sign in _GONE)):
        return Unreachable("blocked, gone or never opened")
    if code in (401, 404):
        return ChannelDown("Telegram does not know this token")
    return Refused(f"{code} {description}".strip())


async def _call(request: Awaitable[Answer]) -> Answer:
    """The result of a call to the Bot API; raises a `SendError`, with nothing of HTTP attached."""
    failure: SendError
    try:
        return await request
    except _Failed as failed:
        failure = failed.failure
    except Exception:  # it was answered with ok, in a shape that python-telegram-bot does not know
        failure = Ambiguous("the answer cannot be read")
    raise failure


class _WithoutToken(logging.Filter):
    """Takes the token out of other libraries' log lines, whatever level somebody sets."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrites the record where it must; always lets it pass."""
        line = record.getMessage()
        if self._token in line:
            record.msg, record.args = line.replace(self._token, "<token>"), None
        return True


def _talkative() -> list[logging.Logger]:
    """The loggers that write addresses or message texts: httpx at INFO, python-telegram-bot at DEBUG."""
    names = ("httpx", "httpcore", "telegram", "telegram.Bot", "telegram.request.BaseRequest")
    return [logging.getLogger(name) for name in names]


def neutral_picture() -> bytes:
    """A speech bubble on a plain ground, as a JPEG: nothing that says whose it is or what it is about."""
    size = 1280
    drawn = Image.new("RGB", (size, size), "#4a6b7c")
    pen = ImageDraw.Draw(drawn)
    pen.rounded_rectangle((330, 380, 950, 800), radius=150, fill="#ffffff")
    pen.polygon(((450, 780), (450, 930), (640, 780)), fill="#ffffff")
    for middle in (490, 640, 790):
        pen.ellipse((middle - 42, 548, middle + 42, 632), fill="#4a6b7c")
    written = io.BytesIO()
    drawn.resize((size // 2, size // 2), Image.Resampling.LANCZOS).save(written, "JPEG", quality=90)
    return written.getvalue()


# What was sent to us, distrusted


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Malformed("an object was expected")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= _BIGGEST:
        raise Malformed("a whole number was expected")
    return value


def _words(value: object) -> str:
    if not isinstance(value, str):
        raise Malformed("a text was expected")
    return readable(value)


def _media(message: Mapping[str, Any]) -> dict[str, Any]:
    """What a message holds beside words, and what it takes to fetch it; nothing when it holds nothing else."""
    media = next((name for name in MEDIA if name in message), None)
    if media is None:
        return {}
    details = {"media": media, **(_file(message[media]) if media in FILES else {})}
    if "media_group_id" in message:  # pictures that were sent together are answered together
        details["album"] = _words(message["media_group_id"])
    return details


def _file(content: object) -> dict[str, Any]:
    """What it takes to fetch this voice message or picture; of a picture's sizes the largest."""
    files = [one for one in (content if isinstance(content, list) else [content]) if isinstance(one, dict)]
    for one in reversed(files):
        file_id, mime = one.get("file_id"), one.get("mime_type", "")
        if isinstance(file_id, str) and file_id and isinstance(mime, str):
            return {"file_id": readable(file_id), "mime": readable(mime)}
    return {}


def _membership(member: object) -> str:
    """The status of a chat member; nothing for one that is not given or has left quietly."""
    if member is None:
        return ""
    status = _words(_mapping(member).get("status"))
    return "left" if status == "restricted" and _mapping(member).get("is_member") is False else status


def _chat(address: str) -> int:
    try:
        return int(address)
    except ValueError:
        raise Refused("not a Telegram chat") from None
