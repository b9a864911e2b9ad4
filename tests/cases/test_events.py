"""What may be said to a case backend: exactly what docs/case-events/ promises, and never who it is about."""

from __future__ import annotations

import copy
import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args

import psycopg
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError
from sqlalchemy import select
from standardwebhooks import WebhookVerificationError

from bot import i18n
from bot.assistant.forms import DOMAIN, step
from bot.cases import delivery, events, webhook
from bot.cases.events import SCHEMAS, TYPES, validator
from bot.channels.pull import TERMINAL, WEB
from bot.db.models import Address, CaseEvent, Conversation, Handoff, Person, Request
from bot.db.session import Database
from bot.journeys import first_contact, handoff, safety
from bot.journeys.context import Context, new_reference
from bot.messages import Language
from bot.settings import Settings

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
REQUEST: dict[str, Any] = {
    "ref": "AV-7K3Q",
    "consent": {"version": "2026-11", "given_at": NOW.isoformat(), "scopes": ["request"]},
    "person": {"age_group": "adult", "languages": ["fr"]},
    "contact": {"channel": "telegram", "by_phone": True},
    "request": {
        "direction": "from_morocco",
        "country_of_return": "SN",
        "flags": ["ill_or_disabled"],
        "priority": "P1",
    },
}
INTERVIEW: dict[str, Any] = {
    "ref": "RV-7K3QX",
    "request": "AV-7K3Q",
    "replaces": "RV-7K3QY",
    "mode": "in_person",
    "office": "rabat",
    "starts_at": NOW.isoformat(),
    "wall": "2026-11-22T10:00",
    "zone": "Africa/Casablanca",
    "wishes": {"language": "fr", "interpreter": False, "interviewer": "woman", "accompanied": True, "access": False},
}
CHECKIN: dict[str, Any] = {
    "ref": "CK-7K3QX",
    "request": "AV-7K3Q",
    "round": "month3",
    "form": "full",
    "signal": "check-in signal v1",
    "level": "amber",
    "answers": [{"question": "E1", "answer": "rarely", "value": 0.25}],
    "dimensions": {"economic": 0.5, "social": 1, "psychosocial": 0.75},
    "change": {"economic": -0.25, "social": 0.5, "psychosocial": -0.5},
}
DATA: dict[str, dict[str, Any]] = {
    "request.created": REQUEST,
    "request.updated": REQUEST,
    "request.withdrawn": {"ref": "AV-7K3Q"},
    "handoff.requested": {
        "handoff": "H-7K3QX",
        "reason": "cue:violence",
        "priority": "P1",
        "language": "ar",
        "channel": "web",
    },
    "interview.requested": INTERVIEW | {"starts_at": None, "wall": None, "zone": None, "replaces": None},
    "interview.booked": INTERVIEW,
    "interview.moved": INTERVIEW,
    "interview.cancelled": {"ref": "RV-7K3QX", "by": "person"},
    "interview.done": {"ref": "RV-7K3QX"},
    "interview.missed": {"ref": "RV-7K3QX"},
    "checkin.completed": CHECKIN,
    "checkin.partial": CHECKIN,
    "checkin.missed": {"ref": "CK-7K3QX", "request": "AV-7K3Q", "round": "week2", "why": "silent"},
    "checkin.flagged": {
        "ref": "CK-7K3QX",
        "request": "AV-7K3Q",
        "round": "week2",
        "level": "red",
        "because": ["F1"],
        "handoff": "H-7K3QX",
    },
    "checkin.stopped": {
        "ref": "CK-7K3QX",
        "request": "AV-7K3Q",
        "round": "month1",
        "by": "person",
        "for_good": True,
    },
    "person.erased": {"receipt": "EF-7K3QX", "refs": ["AV-7K3Q"]},
}
# what people are called, where they are reached, what they said
PERSONAL = [
    "Awa",
    "Awa Diallo",
    "AWA",
    "أوا",
    "+212612345678",
    "0612345678",
    "612345678",
    "@awa",
    "Oujda",
    "je suis enceinte",
]


def envelope(type_: str, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"schema": "rafiq-case/1", "type": type_, "occurred_at": NOW.isoformat(), "data": dict(data)}


def walk(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema within this one."""
    yield schema
    for inner in schema.get("properties", {}).values():
        yield from walk(inner)
    if "items" in schema:
        yield from walk(schema["items"])


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value that is no object or list."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*path, key))
    else:
        yield path


def objects(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every object."""
    if isinstance(value, dict):
        yield path
        for key, inner in value.items():
            yield from objects(inner, (*path, key))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


# the schemas


def test_every_type_is_described() -> None:
    """One schema a type, no more; the README leads to each."""
    assert {path.stem for path in SCHEMAS.glob("*.json")} == set(TYPES)
    readme = (SCHEMAS / "README.md").read_text(encoding="utf-8")
    for type_ in TYPES:
        assert f"({type_}.json)" in readme


@pytest.mark.parametrize("type_", TYPES)
def test_schema_is_closed(type_: str) -> None:
    """A valid 2020-12 schema whose objects are closed and complete, and whose texts are never free."""
    schema = validator(type_).schema
    assert isinstance(schema, dict)
    Draft202012Validator.check_schema(schema)
    assert schema["properties"]["type"] == {"description": "What happened.", "const": type_}
    for inner in walk(schema):
        if inner.get("type") == "object":
            assert inner["additionalProperties"] is False
            assert set(inner["required"]) == set(inner["properties"])
            assert all(len(one["description"]) > 10 for one in inner["properties"].values())
        elif inner.get("type") == "array":
            assert inner["uniqueItems"] is True
        elif inner.get("type") == ["number", "null"]:
            assert (inner["minimum"], inner["maximum"]) in ((0, 1), (-1, 1))
        elif inner.get("type") != "boolean" and "enum" not in inner and "const" not in inner:
            assert inner["pattern"].startswith("^")
            assert inner["pattern"].endswith("$")
            assert inner["maxLength"] <= 40


@pytest.mark.parametrize("type_", TYPES)
def test_good_data(type_: str) -> None:
    """What the journeys say is accepted, with any zone and with or without microseconds."""
    for moment in (NOW, NOW.replace(microsecond=123456), NOW.astimezone(timezone(timedelta(hours=1)))):
        validator(type_).validate({**envelope(type_, DATA[type_]), "occurred_at": moment.isoformat()})


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("name", ["name", "phone", "address", "city", "note", "text", "display_name"])
def test_no_field_for_it(type_: str, name: str) -> None:
    """A name or a phone finds no place: not in the envelope, not in the data, not in any object of it."""
    for path in objects(envelope(type_, DATA[type_])):
        event = copy.deepcopy(envelope(type_, DATA[type_]))
        at(event, path)[name] = "Awa Diallo"
        with pytest.raises(ValidationError):
            validator(type_).validate(event)


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("personal", PERSONAL)
def test_no_room_in_the_fields(type_: str, personal: str) -> None:
    """Nor can it hide in a field that exists."""
    for path in leaves(envelope(type_, DATA[type_])):
        event = copy.deepcopy(envelope(type_, DATA[type_]))
        at(event, path[:-1])[path[-1]] = personal
        with pytest.raises(ValidationError):
            validator(type_).validate(event)


@given(words=st.text(min_size=1, max_size=60))
def test_no_free_text_at_all(words: str) -> None:
    """No field takes what somebody typed, whatever it is, unless it happens to be one of our own words."""
    for type_ in TYPES:
        for path in leaves(DATA[type_]):
            data = copy.deepcopy(DATA[type_])
            at(data, path[:-1])[path[-1]] = words
            if validator(type_).is_valid(envelope(type_, data)):
                assert re.fullmatch(
                    r"[A-Z]{2}|[A-Z][0-9]{1,2}|(AV|CK|EF|H|RV)-\w{4,5}|[A-Z][A-Za-z]+/[A-Z][A-Za-z_]+"
                    r"|[a-z_][a-z0-9_]*(:[a-z_]+)?|[0-9:.TZ+-]+",
                    words.strip("\n"),
                )


@pytest.mark.parametrize("type_", TYPES)
def test_fields_are_required(type_: str) -> None:
    """A field that is missing is a fault of ours and not something for the other side to guess."""
    for path in leaves(envelope(type_, DATA[type_])):
        event = copy.deepcopy(envelope(type_, DATA[type_]))
        del at(event, path[:-1])[path[-1]]
        if isinstance(path[-1], str):
            with pytest.raises(ValidationError):
                validator(type_).validate(event)


# the words of the schemas and those of the house


def field(type_: str, *path: str) -> Any:
    """The schema of this field of the data."""
    schema: Any = validator(type_).schema
    for name in ("data", *path):
        schema = schema["properties"][name]
    return schema


def values(type_: str, *path: str) -> set[Any]:
    """What this field may be."""
    schema = field(type_, *path)
    return set(schema.get("items", schema)["enum"])


def test_words_of_the_request() -> None:
    """Every answer of the form that is told has its word here, and no word is left over."""
    for type_ in ("request.created", "request.updated"):
        assert values(type_, "request", "direction") - {None} == set(step(first_contact.FORM, "direction").choices)
        urgent = step(first_contact.FORM, "urgent").choices
        assert values(type_, "request", "flags") == {first_contact.FLAGS.get(one, one) for one in urgent}
        assert values(type_, "person", "age_group") == set(step(first_contact.FORM, "age_group").choices)
        assert values(type_, "person", "languages") == set(get_args(Language))
        assert set(first_contact.URGENT.values()) <= values(type_, "request", "priority")
        version = field(type_, "consent", "version")
        assert re.fullmatch(version["pattern"], first_contact.CONSENT_VERSION)


def test_words_of_the_handoff() -> None:
    """Every reason a person can be asked for has its word here."""
    reasons = values("handoff.requested", "reason")
    domain = yaml.safe_load(DOMAIN.read_text(encoding="utf-8"))
    asked = {
        reply["custom"]["with"]["reason"]
        for replies in domain["responses"].values()
        for reply in replies
        if reply["custom"].get("do") == "handoff"
    }
    assert len(asked) >= 3
    assert asked | {"interview"} | set(handoff.PRIORITIES) | {"not_understood"} <= reasons
    assert {f"cue:{name}" for name in safety.SITUATIONS} <= reasons
    assert values("handoff.requested", "language") == set(get_args(Language))


def test_words_of_the_channels() -> None:
    """Every channel has its word in every event that tells one."""
    assert values("handoff.requested", "channel") == values("request.created", "contact", "channel")
    assert {WEB, TERMINAL, "telegram", "whatsapp"} == values("handoff.requested", "channel")


def test_references() -> None:
    """References as the journeys make them, and nothing longer or shorter."""
    for _ in range(200):
        validator("request.withdrawn").validate(envelope("request.withdrawn", {"ref": new_reference("AV")}))
        data = {**DATA["handoff.requested"], "handoff": new_reference("H")}
        validator("handoff.requested").validate(envelope("handoff.requested", data))


# writing an event down


async def test_record(database: Database) -> None:
    """It commits with what happened, or not at all; the same cause is told once."""
    async with database.session() as session:
        await events.record(session, type_="request.created", key="one", person_id=None, occurred_at=NOW, data=REQUEST)
        await session.rollback()
    async with database.session() as session:
        assert await session.scalar(select(CaseEvent.id)) is None
        for _ in range(2):
            await events.record(
                session, type_="request.created", key="one", person_id=None, occurred_at=NOW, data=REQUEST
            )
        await session.commit()
        [event] = await session.scalars(select(CaseEvent))
    assert event.payload == envelope("request.created", REQUEST)
    assert (event.status, event.attempts) == ("queued", 0)


async def test_record_refuses(database: Database) -> None:
    """What the schema refuses is never written down."""
    async with database.session() as session:
        with pytest.raises(ValidationError):
            await events.record(
                session,
                type_="request.created",
                key="one",
                person_id=None,
                occurred_at=NOW,
                data={**REQUEST, "person": {**REQUEST["person"], "name": "Awa"}},
            )
        assert await session.scalar(select(CaseEvent.id)) is None


async def test_record_wakes_the_delivery(database: Database) -> None:
    """At commit, not before, every worker hears of it."""
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as listener:
        await listener.execute("LISTEN rafiq")
        async with database.session() as session:
            await events.record(
                session, type_="request.created", key="one", person_id=None, occurred_at=NOW, data=REQUEST
            )
            assert [call async for call in listener.notifies(timeout=0.2)] == []
            await session.commit()
        calls = [call.payload async for call in listener.notifies(timeout=5, stop_after=1)]
    assert calls == ["3:0"]


# what the journeys put in


@pytest.fixture
def wordless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text ids instead of texts: this is about events."""
    monkeypatch.setattr(i18n, "say", lambda text_id, language, **_: text_id)
    monkeypatch.setattr(first_contact, "when_somebody_reads", lambda *_: "")


async def a_turn(database: Database, session: Any, settings: Settings, answers: Mapping[str, Any]) -> Context:
    """The context of one turn of a new person, in a transaction that is not committed."""
    vault = database.vault
    person = Person(key=vault.new_key())
    session.add(person)
    await session.flush()
    address = Address(
        person_id=person.id,
        channel="telegram",
        digest=b"%d" % person.id,
        address_sealed=vault.seal(person.key, "42"),
    )
    session.add(address)
    await session.flush()
    conversation = Conversation(address_id=address.id, person_id=person.id, rasa_id=f"r{person.id}")
    session.add(conversation)
    await session.flush()
    return Context(
        session=session,
        vault=vault,
        settings=settings,
        now=datetime.now(UTC),
        inbox_id=person.id,
        person_id=person.id,
        person_key=person.key,
        conversation_id=conversation.id,
        channel="telegram",
        language="fr",
        answers=answers,
    )


FULL = {
    "consent": "yes",
    "direction": "from_morocco",
    "age_group": "adult",
    "name": "Awa Diallo",
    "phone": "+212612345678",
    "call_time": "morning",
    "call_message": "no",
    "more": "yes",
    "country": "SN",
    "city": "Oujda",
    "family": "children",
    "travel_document": "no",
    "urgent": "violence",
    "note": "mon mari me frappe",
    "review": "send",
}
SHORT = {
    "consent": "yes",
    "age_group": "adult",
    "name": "Awa Diallo",
    "phone": "chat",
    "more": "no",
    "review": "send",
}


def requests() -> Iterator[dict[str, Any]]:
    """Answers as the form leaves them: complete, short, skipped, each choice once."""
    yield FULL
    yield FULL | {"country": "skip", "urgent": "skip", "city": "skip", "note": "skip"}
    for direction in step(first_contact.FORM, "direction").choices:
        yield SHORT | {"direction": direction, "agreed": "yes"}
    for urgent in step(first_contact.FORM, "urgent").choices:
        yield FULL | {"urgent": urgent}
    for age_group in ("child", "unknown"):
        yield {
            "consent": "yes",
            "direction": "from_morocco",
            "age_group": age_group,
            "phone": "+212612345678",
        }


@pytest.mark.usefixtures("wordless")
async def test_requests_of_the_form(database: Database, settings: Settings) -> None:
    """Whatever the form ends with, the event is accepted, and nothing in it is what the person typed."""
    for answers in requests():
        async with database.session() as session:
            ctx = await a_turn(database, session, settings, answers)
            await first_contact.finish(ctx)
            ctx.inbox_id += 1_000_000
            await first_contact.finish(ctx)
            await first_contact.withdraw_all(ctx)
            told = list(await session.scalars(select(CaseEvent).order_by(CaseEvent.id)))
            said = [event for event in told if event.type != "handoff.requested"]
            assert [event.type for event in said] == [
                "request.created",
                "request.updated",
                "request.withdrawn",
            ]
            assert len({event.payload["data"]["ref"] for event in said}) == 1
            for event in told:
                validator(event.type).validate(event.payload)
                for typed in ("name", "phone", "city", "note"):
                    word = answers.get(typed)
                    assert word in (None, "skip", "chat") or word not in json.dumps(event.payload)
            assert await session.scalar(select(Request.status)) == "withdrawn"
            await session.rollback()


@pytest.mark.usefixtures("wordless")
@pytest.mark.parametrize("reason", sorted(values("handoff.requested", "reason")))
async def test_handoffs(database: Database, settings: Settings, reason: str) -> None:
    """Every reason makes an event that is accepted, with the handoff's own reference."""
    async with database.session() as session:
        ctx = await a_turn(database, session, settings, {})
        reference = await handoff.record(ctx, reason)
        event = await session.scalar(select(CaseEvent))
        assert event is not None
        assert event.payload["data"]["handoff"] == reference == await session.scalar(select(Handoff.reference))
        await session.rollback()


# the documentation


def test_readme_verifies() -> None:
    """The documentation's Python example reads a genuine event and refuses a changed one."""
    found = re.search(r"```python\n(.*?)```", (SCHEMAS / "README.md").read_text(encoding="utf-8"), re.S)
    assert found is not None
    names: dict[str, Any] = {}
    exec(found[1], names)  # noqa: S102 (our own example)
    secret = "whsec_" + "c2VjcmV0" * 5
    event = envelope("request.withdrawn", DATA["request.withdrawn"])
    content = webhook.body(event)
    headers = webhook.headers([secret], str(uuid.uuid4()), content)
    assert names["read"](secret, headers, content) == event
    with pytest.raises(WebhookVerificationError):
        names["read"](secret, headers, content + b" ")
    with pytest.raises(WebhookVerificationError):
        names["read"](secret, {**headers, "webhook-timestamp": str(int(time.time()) - 310)}, content)


def test_readme_says_what_is_done() -> None:
    """The waits and limits that the documentation names are those of the code."""
    readme = (SCHEMAS / "README.md").read_text(encoding="utf-8")
    named = re.search(r"\*Retries\*: (.*?) after one another", readme)
    assert named is not None
    unit = {"s": 1, "min": 60, "h": 3600}
    waits = [int(number) * unit[one] for number, one in re.findall(r"(\d+) (s|min|h)\b", named[1])]
    assert waits == [step.total_seconds() for step in delivery.SCHEDULE]
    assert f"within {delivery.TIMEOUT:.0f} seconds" in readme
    assert timedelta(hours=24) == delivery.LONGEST_WAIT
    assert timedelta(minutes=5) == delivery.LONGEST_PAUSE
