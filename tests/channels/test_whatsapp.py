"""WhatsApp's webhooks: what each kind means, who sent it, what is left alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bot.channels import Unverified
from bot.channels.whatsapp import WhatsApp
from bot.channels.whatsapp_webhook import PHONE, USER_ID
from bot.messages import (
    ChannelDown,
    Incoming,
    Kind,
    Notice,
    NotNow,
    Receipt,
    Refused,
    SendError,
    Unreachable,
    WindowClosed,
)
from bot.settings import SettingsError, load
from tests.simulators.whatsapp import APP_SECRET, PHONE_NUMBER_ID, TOKEN, VERIFY_TOKEN, signed

FIXTURES = Path(__file__).parent.parent / "fixtures" / "whatsapp"
NUMBER, USER = "212600700100", "MA.10428377461928"
OURS = "4c6ad1de-6f0c-4b86-a3a1-0d5f3c1f7a52"

# fixture → what it tells: for people (kind, text, press), for statuses (status, our id, error), for operators a kind
TOLD: Mapping[str, list[tuple[Any, ...]]] = {
    "text": [(Kind.TEXT, "Bonjour, est-ce que c'est gratuit ?", "")],
    "text_arabic": [(Kind.TEXT, "السلام عليكم، هل الخدمة مجانية؟", "")],
    "text_emoji": [(Kind.TEXT, "merci 👩‍👩‍👧 🇲🇷 beaucoup", "")],
    "text_forwarded": [(Kind.TEXT, "Il paraît qu'il faut payer.", "")],
    "text_answering": [(Kind.TEXT, "le soir", "")],
    "text_number_and_user_id": [(Kind.TEXT, "I have a question", "")],
    "text_user_id_only": [(Kind.TEXT, "I have another question", "")],
    "text_user_id_in_contact": [(Kind.TEXT, "salam", "")],
    "text_in_milliseconds": [(Kind.TEXT, "Et après ?", "")],
    "button_reply": [(Kind.PRESS, "Oui", "q8Zr1kLmN0pQ")],
    "button_reply_without_context": [(Kind.PRESS, "Non", "a7Yt2jKhG9fD")],
    "list_reply": [(Kind.PRESS, "Parler à quelqu'un", "z6Xw3iJgF8eC")],
    "interactive_without_body": [(Kind.UNKNOWN, "", "")],
    "template_button": [(Kind.PRESS, "Répondre", "t5Vu4hIfE7dB")],
    "template_button_without_payload": [(Kind.TEXT, "Plus tard", "")],
    "flow_reply": [(Kind.UNKNOWN, "", "")],
    "image": [(Kind.MEDIA, "Mon passeport ?", "")],
    "image_with_url": [(Kind.MEDIA, "", "")],
    "video": [(Kind.MEDIA, "", "")],
    "document": [(Kind.MEDIA, "La lettre", "")],
    "sticker": [(Kind.MEDIA, "", "")],
    "audio": [(Kind.MEDIA, "", "")],
    "voice": [(Kind.MEDIA, "", "")],
    "location": [(Kind.MEDIA, "", "")],
    "contacts": [(Kind.MEDIA, "", "")],
    "contacts_without_name": [(Kind.MEDIA, "", "")],
    "reaction": [],
    "reaction_removed": [],
    "unsupported": [(Kind.UNKNOWN, "", "")],
    "order": [(Kind.UNKNOWN, "", "")],
    "content_of_a_later_version": [(Kind.UNKNOWN, "", "")],
    "welcome": [(Kind.START, "", "")],
    "group_message": [],
    "edited_text": [(Kind.EDITED, "Est-ce que le retour est gratuit ?", "")],
    "edited_caption": [(Kind.EDITED, "Ma carte", "")],
    "revoked": [(Kind.REVOKED, "", "")],
    "number_changed": [(Kind.IDENTITY, "", "")],
    "number_and_user_id_changed": [(Kind.IDENTITY, "", "")],
    "user_id_changed": [(Kind.IDENTITY, "", "")],
    "user_id_update": [(Kind.IDENTITY, "", "")],
    "identity_changed": [(Kind.IDENTITY, "", "")],
    "status_sent": [("sent", OURS, None)],
    "status_delivered": [("delivered", OURS, None)],
    "status_read": [("read", OURS, None)],
    "status_played": [("read", OURS, None)],
    "status_failed_window": [("failed", OURS, WindowClosed)],
    "status_failed_gone": [("failed", None, Unreachable)],
    "status_failed_without_code": [("failed", None, Refused)],
    "status_deleted": [(Kind.REVOKED, "", "")],
    "status_of_a_later_version": [],
    "status_of_another_program": [("delivered", None, None)],
    "account_error": [("account error",)],
    "preference_stop": [(Kind.STOPPED, "", "")],
    "preference_resume": [(Kind.RESUMED, "", "")],
    "template_paused": [("message template status update",)],
    "template_approved": [],
    "template_recategorised": [("template category update",)],
    "template_quality": [("message template quality update",)],
    "account_restricted": [("account update",)],
    "call": [],
    "echo": [],
    "another_number": [],
    "batch": [
        (Kind.TEXT, "première", ""),
        (Kind.TEXT, "seconde", ""),
        ("read", None, None),
        ("sent", None, None),
        ("delivered", None, None),
        (Kind.MEDIA, "", ""),
    ],
}


def make() -> WhatsApp:
    """A channel that calls nobody."""
    return WhatsApp(TOKEN, PHONE_NUMBER_ID, APP_SECRET, VERIFY_TOKEN, "http://127.0.0.1:1")


def parsed(name: str) -> list[Incoming | Receipt | Notice]:
    """What the fixture of this name tells."""
    return list(make().parse((FIXTURES / f"{name}.json").read_bytes()))


def event(name: str) -> Incoming:
    """The only event of this fixture."""
    [found] = parsed(name)
    assert isinstance(found, Incoming)
    return found


def summary(one: Incoming | Receipt | Notice) -> tuple[Any, ...]:
    """As in TOLD."""
    if isinstance(one, Incoming):
        return one.kind, one.text, one.press
    if isinstance(one, Receipt):
        return one.status, one.our_id, type(one.error) if one.error else None
    return (one.kind,)


def test_an_edit_brings_what_it_changes() -> None:
    """The words, or the picture with them: all that the message needs, should it come after its edit."""
    assert event("edited_text").details["whole"] is True
    caption = event("edited_caption").details
    assert caption["whole"] is True and caption["media"] == "photo" and caption["media_id"] == "1166846181421424"


def webhook(**value: Any) -> bytes:
    """A webhook with these contents."""
    metadata = {"phone_number_id": PHONE_NUMBER_ID}
    change = {"field": "messages", "value": {"metadata": metadata, **value}}
    return json.dumps({"object": "whatsapp_business_account", "entry": [{"changes": [change]}]}).encode()


def said(**message: Any) -> Incoming:
    """What this message of a person is."""
    [found] = make().parse(webhook(messages=[{"from": NUMBER, "id": "wamid.X", "timestamp": "1795320007", **message}]))
    assert isinstance(found, Incoming)
    return found


@pytest.mark.parametrize(
    ("content", "kind", "what"),
    [
        ({"text": {"body": "salut"}}, Kind.TEXT, "salut"),
        ({"location": {"latitude": 35.7, "longitude": -5.8}}, Kind.MEDIA, "location"),
        ({"contacts": [{"name": {"formatted_name": "Omar"}}]}, Kind.MEDIA, "contact"),
        ({"type": None, "image": {"id": "880044001122", "mime_type": "image/jpeg"}}, Kind.MEDIA, "photo"),
        ({"type": None}, Kind.UNKNOWN, ""),
        ({"type": "text", "text": {"body": 1}}, Kind.TEXT, "1"),
    ],
)
def test_a_message_without_its_type_is_known_by_its_content(content: dict[str, Any], kind: Kind, what: str) -> None:
    """As the places and contacts in some collections are; a number is a text too."""
    found = said(**content)
    assert (found.kind, found.text or found.details.get("media", "")) == (kind, what)


def test_a_changed_number_may_stand_deeper() -> None:
    """Under the name of what happened, as some collections have it."""
    deeper = {"new_wa_id": "212600700199", "old_wa_id": NUMBER}
    found = said(type="system", system={"type": "customer_changed_number", "customer_changed_number": deeper})
    assert (found.kind, found.address, found.details["address"]) == (Kind.IDENTITY, NUMBER, "212600700199")


@pytest.mark.parametrize("content", [{}, {"message": {"type": "text"}}, {"message": {"type": "poll", "poll": {}}}])
def test_an_edit_that_cannot_be_read_is_none_of_its_message(content: dict[str, Any]) -> None:
    """It is written down, and stands for nothing."""
    found = said(type="edit", edit={"original_message_id": "wamid.O", **content})
    assert (found.kind, found.text) == (Kind.EDITED, "") and "whole" not in found.details


@pytest.mark.parametrize("name", sorted(path.stem for path in FIXTURES.glob("*.json")))
def test_each_kind_of_webhook(name: str) -> None:
    """Every kind is read as what it is, every part of a batch, nothing twice."""
    assert [summary(one) for one in parsed(name)] == TOLD[name]


# Who


@pytest.mark.parametrize(
    ("name", "address", "aliases"),
    [
        ("text", NUMBER, None),
        ("text_number_and_user_id", USER, [NUMBER]),
        ("text_user_id_only", USER, None),
        ("text_user_id_in_contact", USER, None),
        ("preference_resume", USER, [NUMBER]),
        ("user_id_update", USER, [NUMBER]),
        ("status_deleted", NUMBER, None),
    ],
)
def test_people_are_known_by_their_user_id(name: str, address: str, aliases: list[str] | None) -> None:
    """The business-scoped id where there is one; the number beside it says who was known by it before."""
    found = event(name)
    assert found.address == address
    assert found.details.get("aliases") == aliases


def test_each_message_of_a_batch_has_its_own_sender() -> None:
    """Contacts are matched by number; the second person's id does not get to the first."""
    people = [one for one in parsed("batch") if isinstance(one, Incoming)]
    assert [one.address for one in people] == [NUMBER, "MN.5550001", NUMBER]


def test_a_contact_is_not_taken_for_another_persons() -> None:
    """One contact beside two messages: who has another number is somebody else."""
    messages = [
        {"from": number, "id": f"wamid.{number}", "type": "text", "text": {"body": "hi"}} for number in ("111", "222")
    ]
    first, second = make().parse(webhook(contacts=[{"wa_id": "111", "user_id": USER}], messages=messages))
    assert isinstance(first, Incoming) and isinstance(second, Incoming)
    assert (first.address, second.address) == (USER, "222")
    placeholder = {**messages[0], "from": "<A NUMBER>"}
    [only] = make().parse(webhook(contacts=[{"wa_id": "111", "user_id": USER}], messages=[placeholder]))
    assert isinstance(only, Incoming) and (only.address, only.details["aliases"]) == (USER, ["111"])


def test_an_error_beside_a_message_is_no_alert() -> None:
    """It says why the message has no content; the message is answered."""
    message = {"from": NUMBER, "id": "wamid.1", "type": "interactive"}
    [found] = make().parse(webhook(messages=[message], errors=[{"code": 131000}]))
    assert isinstance(found, Incoming) and found.kind is Kind.UNKNOWN


def test_an_id_in_the_place_of_the_number() -> None:
    """Meta writes the user id there for some who hide their number."""
    body = webhook(messages=[{"from": "US.1234", "id": "wamid.1", "type": "text", "text": {"body": "hi"}}])
    [found] = make().parse(body)
    assert isinstance(found, Incoming) and found.address == "US.1234" and "aliases" not in found.details


def test_an_id_of_no_known_shape_is_not_used() -> None:
    """The number is."""
    message = {"from": "+5678", "from_user_id": "foo_bar", "id": "wamid.1", "type": "text", "text": {"body": "hi"}}
    [found] = make().parse(webhook(messages=[message]))
    assert isinstance(found, Incoming) and found.address == "5678"


def test_a_message_of_nobody_is_left_alone() -> None:
    """Without number, id or contact there is nobody to answer."""
    assert make().parse(webhook(messages=[{"id": "wamid.1", "type": "text", "text": {"body": "hi"}}])) == []


def test_a_message_without_id_is_known_by_its_content() -> None:
    """It is not lost, and a repeat of it is the same event; nothing is marked as read by an id that is none."""
    message = {"from": NUMBER, "timestamp": "1795320000", "type": "text", "text": {"body": "hi"}}
    [first], [again] = make().parse(webhook(messages=[message])), make().parse(webhook(messages=[message], contacts=[]))
    [other] = make().parse(webhook(messages=[{**message, "timestamp": "1795320001"}]))
    assert isinstance(first, Incoming) and isinstance(again, Incoming) and isinstance(other, Incoming)
    assert first.external_id == again.external_id != other.external_id
    assert "message_id" not in first.details


def test_a_number_and_a_user_id_are_never_the_same() -> None:
    """An address says by its shape what it is."""
    assert PHONE.fullmatch(NUMBER) and not USER_ID.fullmatch(NUMBER)
    assert USER_ID.fullmatch(USER) and not PHONE.fullmatch(USER)
    assert USER_ID.fullmatch("US.ENT.11815799212886844830")


@pytest.mark.parametrize(
    ("name", "address", "now"),
    [
        ("number_changed", NUMBER, ["212600700177"]),
        ("number_and_user_id_changed", USER, ["MA.20000000000177", "212600700177"]),
        ("user_id_changed", USER, ["MA.20000000000178"]),
        ("user_id_update", USER, ["MA.20000000000179"]),
    ],
)
def test_a_new_number_or_id_is_told_of_the_old_one(name: str, address: str, now: list[str]) -> None:
    """The event belongs to whom we know; the new addresses stand in its details."""
    found = event(name)
    assert (found.address, found.details["change"]) == (address, "address")
    assert [found.details["address"], *found.details.get("also", ())] == now


def test_the_new_id_may_be_the_senders() -> None:
    """Meta may put it beside `from`; the event is still of the person whom we knew before."""
    system = {"type": "user_changed_user_id", "user_id": "MA.2", "previous_user_id": USER}
    message = {"from": NUMBER, "from_user_id": "MA.2", "id": "wamid.1", "type": "system", "system": system}
    [found] = make().parse(webhook(messages=[message]))
    assert isinstance(found, Incoming)
    assert (found.address, found.details["address"], found.details["aliases"]) == (USER, "MA.2", [NUMBER])


def test_another_telephone_is_not_another_address() -> None:
    """Somebody else may hold the number now: that is all that is known."""
    assert event("identity_changed").details["change"] == "holder"
    assert "address" not in event("identity_changed").details


# What is kept for the answer


def test_what_is_needed_to_answer_and_to_fetch() -> None:
    """The message's id for the read mark, when it was sent for the 24 hours, the file's id, type and hash."""
    voice = event("voice")
    assert voice.details["message_id"] == voice.external_id
    assert voice.details["sent_at"] == 1795320007 == event("text_in_milliseconds").details["sent_at"]
    assert voice.details["media"] == "voice" and event("audio").details["media"] == "audio"
    assert voice.details["mime_type"] == "audio/ogg; codecs=opus"
    assert voice.details["media_id"] == "1166846181421424" and len(voice.details["sha256"]) == 44
    assert event("document").details["filename"] == "lettre.pdf"
    assert event("text_answering").details["answers"] == "wamid.OUR0001"
    assert event("revoked").details["original"] == "wamid.THEIRS0003"
    assert event("status_deleted").details["original"] == "wamid.THEIRS0004"


def test_what_cannot_be_read_is_kept_as_it_came() -> None:
    """For the person who looks at it: a place, a contact, a kind of a later version; of a bounded size."""
    assert json.loads(event("location").details["content"])["latitude"] == 33.97159
    assert "+212 600-700199" in event("contacts").details["content"]
    assert json.loads(event("content_of_a_later_version").details["content"]) == {"id": "77", "depth": 3}
    message = {"from": NUMBER, "id": "wamid.1", "type": "new", "new": {"long": "é" * 100_000}}
    [found] = make().parse(webhook(messages=[message]))
    assert isinstance(found, Incoming) and len(found.details["content"]) == 4000


def test_operators_are_told_without_personal_data() -> None:
    """Codes, names of templates and words of Meta's own lists; no free text, which may name a number."""
    [error] = parsed("account_error")
    assert isinstance(error, Notice) and error.detail == {"code": 131042}
    [paused] = parsed("template_paused")
    assert isinstance(paused, Notice)
    assert paused.detail["event"] == "PAUSED" and paused.detail["message_template_name"] == "check_in"
    value = {"event": "FLAGGED +212 600 for Awa", "message_template_name": "check_in"}
    assert noticed("message_template_status_update", value) == {"message_template_name": "check_in"}


def test_operators_are_told_what_it_is_about() -> None:
    """Also where Meta says it deeper, and of a category that will be another one soon."""
    alert = {"alert_severity": "CRITICAL", "alert_status": "ACTIVE", "alert_type": "OBA_REJECTED"}
    assert (
        noticed("account_alerts", {"entity_type": "WABA", "alert_info": {**alert, "alert_description": "…"}}) == alert
    )
    broken = {"event": "ACCOUNT_VIOLATION", "violation_info": {"violation_type": "ALCOHOL"}}
    assert noticed("account_update", broken) == {"event": "ACCOUNT_VIOLATION", "violation_type": "ALCOHOL"}
    soon = {"message_template_name": "check_in", "new_category": "UTILITY", "correct_category": "MARKETING"}
    assert noticed("template_category_update", soon) == soon


def noticed(field: str, value: dict[str, Any]) -> Any:
    """What operators are told of this."""
    [found] = make().parse(json.dumps({"entry": [{"changes": [{"field": field, "value": value}]}]}).encode())
    assert isinstance(found, Notice)
    return found.detail


@pytest.mark.parametrize(
    ("code", "kind"),
    [(130472, NotNow), (131031, ChannelDown), (131026, Unreachable), (131047, WindowClosed), ("131047", WindowClosed)],
)
def test_a_late_failure_is_the_same_as_one_at_once(code: int | str, kind: type[SendError]) -> None:
    """By its code, as a number or as digits; what Meta says about it stays outside."""
    error = {"code": code, "title": f"to +{NUMBER}", "error_data": {"details": NUMBER}}
    status = {"id": "wamid.1", "status": "failed", "recipient_id": NUMBER, "errors": [error]}
    [receipt] = make().parse(webhook(statuses=[status]))
    assert isinstance(receipt, Receipt) and type(receipt.error) is kind
    assert NUMBER not in repr(receipt)


def test_our_id_comes_back_with_the_part_of_a_long_message() -> None:
    """As it was sent; anything else is another program's."""
    for given, ours in {f"{OURS}.2": f"{OURS}.2", OURS: OURS, "campaign": None, f"{OURS}; x": None, 7: None}.items():
        status = {"id": "wamid.1", "status": "sent", "biz_opaque_callback_data": given}
        [receipt] = make().parse(webhook(statuses=[status]))
        assert isinstance(receipt, Receipt) and receipt.our_id == ours


# Shapes


@pytest.mark.parametrize(
    "body",
    [
        {"object": "whatsapp_business_account", "entry": []},
        {"object": "page", "entry": [{"id": "1", "messaging": [{"sender": {"id": "2"}, "message": {"text": "x"}}]}]},
        {"object": "whatsapp_business_account", "entry": [{"changes": [{"field": "flows", "value": {"event": "x"}}]}]},
        {"entry": [{"changes": [{"value": {"messages": "none"}}, "odd", None]}, 7]},
        {"object": "whatsapp_business_account"},
        {"field": "messages", "value": {}},
        {"entry": {"changes": []}},
        {"contacts": [{"wa_id": "212600700100"}], "errors": [{"code": 1}]},  # of an older interface
        {"errors": [{"code": 1}]},
    ],
)
def test_a_webhook_of_an_unknown_shape_is_taken(body: object) -> None:
    """It is genuine and not for us: nothing to store, nothing to repeat."""
    assert make().parse(json.dumps(body).encode()) == []


@pytest.mark.parametrize("field", ["standby", "history", "smb_message_echoes", "message_echoes"])
def test_messages_of_other_fields_are_not_for_us(field: str) -> None:
    """Somebody else answers them, or answered them long ago."""
    message = {"from": NUMBER, "id": "wamid.1", "type": "text", "text": {"body": "hi"}}
    change = {"field": field, "value": {"messages": [message]}}
    assert make().parse(json.dumps({"entry": [{"changes": [change]}]}).encode()) == []


def test_junk_in_a_text_does_no_harm() -> None:
    """NUL and halves of characters, which no database takes."""
    body = webhook(messages=[{"from": NUMBER, "id": "wamid.1\0", "type": "text", "text": {"body": "a\0b\ud83d"}}])
    [found] = make().parse(body)
    assert isinstance(found, Incoming) and found.text == "ab\ufffd" and found.external_id == "wamid.1"


def test_nothing_personal_is_logged(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever comes."""
    caplog.set_level(logging.DEBUG)
    for path in FIXTURES.glob("*.json"):
        make().parse(path.read_bytes())
    make().parse(webhook(messages=[{"id": "wamid.1", "type": "text", "text": {"body": "secretword"}}]))
    written = caplog.text + "".join(capsys.readouterr())
    for word in (NUMBER, USER, "gratuit", "secretword", "Awa"):
        assert word not in written


# Who calls


@pytest.mark.parametrize(
    "signature",
    [
        "",
        signed(b"body")[:-1],
        signed(b"body") + "0",
        signed(b"other"),
        signed(b"body", "another app's secret"),
        signed(b"body").removeprefix("sha256="),
        signed(b"body").replace("sha256=", "sha1="),
        signed(b"body").upper(),
        "sha256=" + "é" * 64,
    ],
)
def test_a_wrong_signature_is_refused(signature: str) -> None:
    """Missing, cut, of other bytes, of another secret, of another kind; and the right one is never told."""
    make().verify({"x-hub-signature-256": signed(b"body")}, b"body")
    with pytest.raises(Unverified) as refusal:
        make().verify({"x-hub-signature-256": signature}, b"body")
    assert signed(b"body")[7:] not in repr(refusal.value)


def test_the_signature_is_of_the_bytes_as_they_came() -> None:
    """The same JSON written otherwise is not what was signed."""
    body = '{"text": "é", "emoji": "\\ud83d\\ude00"}'.encode()
    headers = {"x-hub-signature-256": signed(body)}
    make().verify(headers, body)
    with pytest.raises(Unverified):
        make().verify(headers, json.dumps(json.loads(body)).encode())


def test_the_handshake() -> None:
    """The challenge goes back to who knows our words, as it came."""
    query = {"hub.mode": "subscribe", "hub.verify_token": VERIFY_TOKEN, "hub.challenge": "1158201444"}
    assert make().handshake(query) == "1158201444"
    for name, value in {"hub.mode": "unsubscribe", "hub.verify_token": "é", "hub.challenge": None}.items():
        wrong = {**query, name: value}
        with pytest.raises(Unverified):
            make().handshake({key: word for key, word in wrong.items() if word is not None})


# Settings


def test_half_of_the_settings_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that names what is missing; an id is digits."""
    monkeypatch.setenv("WHATSAPP_TOKEN", TOKEN)
    with pytest.raises(SettingsError, match="WHATSAPP_PHONE_NUMBER_ID is missing"):
        load(None)
    monkeypatch.setenv("WHATSAPP_PHONE_NUMBER_ID", "+212 522")
    with pytest.raises(SettingsError, match="WHATSAPP_PHONE_NUMBER_ID is wrong"):
        load(None)
    monkeypatch.setenv("WHATSAPP_PHONE_NUMBER_ID", PHONE_NUMBER_ID)
    monkeypatch.setenv("WHATSAPP_APP_SECRET", APP_SECRET)
    with pytest.raises(SettingsError, match="WHATSAPP_VERIFY_TOKEN is missing"):
        load(None)
    monkeypatch.setenv("WHATSAPP_VERIFY_TOKEN", VERIFY_TOKEN)
    assert TOKEN not in repr(WhatsApp.from_settings(load(None)))
