"""Reading WhatsApp's webhooks: every entry, change, message and status of a batch.

Meta adds kinds of messages and fields as it likes, so nothing here insists on a shape: what cannot be read is left
out, and what a person sent in a kind that we do not know is still an event. Only what is no JSON raises: Meta would
send anything else again for a week.

A person's address is their business-scoped id (`MA.1349…`) where there is one, else their telephone number in
digits; the two cannot be mistaken for each other. Where a webhook names both, the number stands in
`details["aliases"]`: who was known by the number before is the same person.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import structlog

from bot.channels.body import read_json, readable
from bot.channels.whatsapp_errors import code_of, failure
from bot.messages import Incoming, Kind, Notice, Receipt, Status

log = structlog.get_logger()
NAME = "whatsapp"
KEPT = 4000  # characters kept of a content that nobody here can read

PHONE = re.compile(r"\d{3,20}")
USER_ID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")
_MEDIA = {
    "image": "photo", "video": "video", "document": "document", "sticker": "sticker", "audio": "audio",
    "voice": "voice", "location": "location", "contacts": "contact",
}  # fmt: skip
_NAMED = ("text", "interactive", "button", "reaction", *_MEDIA)  # known by their content where the type is not given
_STATUSES: Mapping[str, Status] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "played": "read",
    "failed": "failed",
}
# What operators should know of: the webhook's field, and what of it is told.
_NOTICES: Mapping[str, Sequence[str]] = {
    "message_template_status_update": ("event", "message_template_name", "message_template_language", "reason"),
    "template_category_update": (
        "message_template_name", "message_template_language", "previous_category", "new_category", "correct_category",
    ),
    "message_template_quality_update": (
        "message_template_name", "message_template_language", "previous_quality_score", "new_quality_score",
    ),
    "account_update": ("event", "violation_type"),
    "account_review_update": ("decision",),
    "account_alerts": ("alert_type", "alert_severity", "alert_status"),
    "phone_number_quality_update": ("event", "current_limit"),
}  # fmt: skip
_GOOD_NEWS = {"APPROVED", "REINSTATED", "PENDING", "GREEN"}
_OURS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:\.[0-9]{1,3})?")  # with the number of its part
_SAFE = re.compile(r"[A-Za-z0-9_. -]{1,100}")


def read(body: bytes, phone_number_id: str) -> list[Incoming | Receipt | Notice]:
    """All that a webhook tells of this number of ours; raises `Malformed` for what is no JSON."""
    told: list[Incoming | Receipt | Notice] = []
    for entry in _objects(_object(read_json(body)).get("entry")):
        for change in _objects(entry.get("changes")):
            told += _change(change.get("field", "messages"), _object(change.get("value")), phone_number_id)
    return told


def _change(field: object, value: Mapping[str, Any], phone_number_id: str) -> Iterator[Incoming | Receipt | Notice]:
    number = _words(_object(value.get("metadata")).get("phone_number_id"))
    if number and number != phone_number_id:
        log.warning("a webhook for another number of the account: left alone", channel=NAME)
        return
    people = _objects(value.get("contacts"))
    if field == "messages":
        for message in _objects(value.get("messages")):
            event = _message(message, people)
            if event is not None:
                yield event
        for status in _objects(value.get("statuses")):
            told = _status(status)
            if told is not None:
                yield told
        for error in _objects(value.get("errors")) if not value.get("messages") else ():  # beside a message: its own
            yield Notice(NAME, "account error", {"code": code_of(error) or 0})
    elif field == "user_preferences":
        for preference in _objects(value.get("user_preferences")):
            yield from _preference(preference, people)
    elif field == "user_id_update":
        for update in _objects(value.get("user_id_update")):
            yield from _new_user_id(update)
    elif isinstance(field, str) and field in _NOTICES:
        yield from _notice(field, value)


# Messages


def _message(message: Mapping[str, Any], people: Sequence[Mapping[str, Any]]) -> Incoming | None:
    """What a person did; None for what needs no turn, or names nobody."""
    message_id = _words(message.get("id"))
    kind = _words(message.get("type")) or next((one for one in _NAMED if one in message), "")
    if message.get("group_id") or kind == "reaction":
        return None
    content = _object(message.get(kind))
    sender = _sender(message.get("from"), message.get("from_user_id") or content.get("previous_user_id"), people)
    if not sender:
        log.warning("a message of nobody", channel=NAME)
        return None
    details: dict[str, Any] = {"message_id": message_id} if message_id else {}
    message_id = message_id or _content_id(message)
    sent_at = _seconds(message.get("timestamp"))
    if sent_at is not None:
        details["sent_at"] = sent_at
    answers = _words(_object(message.get("context")).get("id"))
    if answers:
        details["answers"] = answers
    if kind == "system":
        return _system(message_id, sender, content, details)
    if kind in ("edit", "revoke"):
        return _taken_back(kind, message_id, sender, content, details)
    what, text, press = _said(kind, content, message)
    if what is Kind.MEDIA:
        details |= _media(kind, content, message)
    elif what is Kind.UNKNOWN:
        details |= {"type": kind[:64], "content": _kept(message.get(kind))}
    return _event(message_id, sender, what, details, text, press)


def _said(kind: str, content: Mapping[str, Any], message: Mapping[str, Any]) -> tuple[Kind, str, str]:
    """The kind of event, its text, and the pressed button."""
    if kind == "text" and isinstance(content.get("body"), str | int):
        return Kind.TEXT, _words(content["body"]), ""
    if kind == "interactive":
        reply = _object(content.get(_words(content.get("type"))))
        title, button = _words(reply.get("title")), _words(reply.get("id"))
        if button and content.get("type") in ("button_reply", "list_reply"):
            return Kind.PRESS, title, button
    elif kind == "button":  # under a template: without a payload of ours, its title is what the person says
        title, payload = _words(content.get("text")), _words(content.get("payload"))
        if payload and payload != title:
            return Kind.PRESS, title, payload
        if title:
            return Kind.TEXT, title, ""
    elif kind == "request_welcome":
        return Kind.START, "", ""
    elif kind in _MEDIA and message.get(kind):
        return Kind.MEDIA, _words(content.get("caption")), ""
    return Kind.UNKNOWN, "", ""


def _media(kind: str, content: Mapping[str, Any], message: Mapping[str, Any]) -> dict[str, Any]:
    """What is needed to fetch a file, or the place or contact itself."""
    if kind in ("location", "contacts"):
        return {"media": _MEDIA[kind], "content": _kept(message.get(kind))}
    named = {"media_id": content.get("id"), **{key: content.get(key) for key in ("mime_type", "sha256", "filename")}}
    details = {key: _words(value)[:512] for key, value in named.items() if _words(value)}
    return {"media": "voice" if content.get("voice") is True else _MEDIA[kind], **details}


def _taken_back(
    kind: str, message_id: str, sender: Sequence[str], content: Mapping[str, Any], details: dict[str, Any]
) -> Incoming | None:
    """A message that the person changed or deleted."""
    original = _words(content.get("original_message_id"))
    if not original:
        return None
    details["original"] = original
    if kind == "revoke":
        return _event(message_id, sender, Kind.REVOKED, details)
    edited = _object(content.get("message")) or content
    what = _words(edited.get("type"))
    now = _object(edited.get(what))
    if what == "text" and _words(now.get("body")):
        details["whole"] = True  # it says all that its message said
    elif what in _MEDIA and _words(now.get("id")):
        details |= {"whole": True, **_media(what, now, edited)}
    return _event(message_id, sender, Kind.EDITED, details, _words(now.get("body", now.get("caption"))))


def _system(
    message_id: str, sender: Sequence[str], content: Mapping[str, Any], details: dict[str, Any]
) -> Incoming | None:
    """WhatsApp says that a person's number, id or telephone is another one now."""
    kind = _words(content.get("type"))
    content = {**content, **_object(content.get(kind))}
    if kind in ("user_changed_number", "customer_changed_number", "user_changed_user_id"):
        before = _address(content.get("previous_user_id"), USER_ID)
        given = [_address(content.get("user_id"), USER_ID)]
        now = _unique(given + [_address(content.get(key), PHONE) for key in ("wa_id", "new_wa_id")])
        known = [address for address in _unique([before, *sender]) if address not in now]
        changed = {"change": "address", "address": now[0], "also": now[1:]} if now else {}
        return _event(message_id, known, Kind.IDENTITY, details | changed) if known and now else None
    if kind in ("customer_identity_changed", "user_identity_changed"):
        return _event(message_id, sender, Kind.IDENTITY, details | {"change": "holder"})
    return None


def _new_user_id(update: Mapping[str, Any]) -> Iterator[Incoming]:
    """A person's business-scoped id was made anew."""
    ids = _object(update.get("user_id"))
    before, now = _address(ids.get("previous"), USER_ID), _address(ids.get("current"), USER_ID)
    sender = _unique([before, _address(update.get("wa_id"), PHONE)])
    if sender and now:
        yield _event(f"user_id:{sender[0]}:{now}", sender, Kind.IDENTITY, {"change": "address", "address": now})


def _preference(preference: Mapping[str, Any], people: Sequence[Mapping[str, Any]]) -> Iterator[Incoming]:
    """Whether the person wants messages that they did not ask for, said in WhatsApp's own settings."""
    kind = {"stop": Kind.STOPPED, "resume": Kind.RESUMED}.get(_words(preference.get("value")))
    sender = _sender(preference.get("wa_id"), preference.get("user_id"), people)
    said_at = _seconds(preference.get("timestamp"))
    if kind is not None and sender and said_at is not None:
        yield _event(f"preference:{sender[0]}:{said_at}:{kind}", sender, kind, {"sent_at": said_at})


def _event(
    external_id: str,
    sender: Sequence[str],
    kind: Kind,
    details: Mapping[str, Any],
    text: str = "",
    press: str = "",
) -> Incoming:
    aliases = {"aliases": list(sender[1:])} if len(sender) > 1 else {}
    return Incoming(NAME, external_id, sender[0], kind, text, press, details={**details, **aliases})


# Statuses and notices


def _status(status: Mapping[str, Any]) -> Receipt | Incoming | None:
    """What became of a message of ours; or, as « deleted », that a person deleted one of theirs."""
    message_id, word = _words(status.get("id")), _words(status.get("status"))
    if not message_id or status.get("recipient_type") == "group":
        return None
    if word == "deleted":
        sender = _sender(status.get("recipient_id"), status.get("recipient_user_id"), ())
        details = {"original": message_id}
        return _event(f"deleted:{message_id}", sender, Kind.REVOKED, details) if sender else None
    if word not in _STATUSES:
        return None
    failed = None
    if word == "failed":
        errors = _objects(status.get("errors"))
        failed = failure(code_of(errors[0]) if errors else None)
    ours = _our_id(status.get("biz_opaque_callback_data"))
    return Receipt(NAME, message_id, _STATUSES[word], ours, failed)


def _our_id(given: object) -> str | None:
    """The id that we gave the message; None for what another program gave it."""
    found = _OURS.fullmatch(_words(given))
    return found[0] if found else None


def _notice(field: str, value: Mapping[str, Any]) -> Iterator[Notice]:
    deeper = {key: word for inner in value.values() for key, word in _object(inner).items()}  # of what it is about
    said = {key: _words(value.get(key, deeper.get(key))) for key in _NOTICES[field]}
    detail: dict[str, str | int] = {key: word for key, word in said.items() if _SAFE.fullmatch(word)}
    if not any(word in _GOOD_NEWS for key, word in detail.items() if not key.startswith("previous")):
        yield Notice(NAME, field.replace("_", " "), detail)


# Distrust


def _content_id(message: Mapping[str, Any]) -> str:
    """An id for a message that came without: a repeat of it says the same."""
    try:
        content = json.dumps(message, sort_keys=True)
    except RecursionError:
        content = ""
    return "content:" + hashlib.sha256(content.encode()).hexdigest()


def _sender(phone: object, user_id: object, people: Sequence[Mapping[str, Any]]) -> list[str]:
    """The person's addresses, the best one first; none when nothing names them."""
    number, own = _address(phone, PHONE), _address(user_id, USER_ID) or _address(phone, USER_ID)
    known = next((one for one in people if _same(number, one.get("wa_id")) or _same(own, one.get("user_id"))), None)
    if known is None:
        nameless = not number and not own
        known = people[0] if len(people) == 1 and (nameless or not people[0].get("wa_id")) else {}
    ids = [_address(one, USER_ID) for one in (user_id, phone, known.get("user_id"), known.get("wa_id"))]
    numbers = [_address(one, PHONE) for one in (phone, known.get("wa_id"))]
    return [*_unique(ids)[:1], *_unique(numbers)[:1]]


def _same(address: str, given: object) -> bool:
    return bool(address) and _words(given).removeprefix("+") == address


def _address(value: object, shape: re.Pattern[str]) -> str:
    words = _words(value).removeprefix("+")
    return words if shape.fullmatch(words) else ""


def _unique(words: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(word for word in words if word))


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _words(value: object) -> str:
    """A text, or a whole number as Meta sometimes writes an id; else nothing."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**64:
        return str(value)
    return readable(value) if isinstance(value, str) else ""


def _seconds(value: object) -> int | None:
    """A time in seconds; some come in milliseconds."""
    words = _words(value)
    if not re.fullmatch(r"[0-9]{1,16}", words):
        return None
    return int(words) // 1000 if int(words) > 10**11 else int(words)


def _kept(content: object) -> str:
    """A content as it came, as JSON: for the people who read what is handed to them."""
    try:
        return readable(json.dumps(content, ensure_ascii=False))[:KEPT]
    except RecursionError:
        return ""
