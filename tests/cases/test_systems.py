"""Our events in other systems' own API: each mapping against a simulator made from that system's documentation."""

from __future__ import annotations

import copy
import json
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from pydantic import SecretStr
from sqlalchemy import select, text
from structlog.testing import capture_logs

from bot.cases import delivery as delivering
from bot.cases import events, systems
from bot.cases.delivery import CaseDelivery, replay
from bot.cases.events import TYPES, validator
from bot.db.models import Alert, CaseEvent
from bot.db.session import Database
from bot.settings import Settings, SettingsError
from tests.cases.test_events import DATA, INTERVIEW, leaves
from tests.simulators.case_systems import CaseSystem, CommCare, Primero, RapidPro, Trouble

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
System = TypeVar("System", bound=CaseSystem)
NAMES = ("primero", "commcare", "rapidpro")
REQUEST = DATA["request.created"]
LESS: dict[str, Any] = {
    **REQUEST,
    "request": {"direction": None, "country_of_return": None, "flags": [], "priority": "P2"},
}


def settings_of(address: str, name: str, **given: Any) -> Settings:
    """The settings with which Rafiq tells this system."""
    told: dict[str, dict[str, Any]] = {
        "primero": {"case_system_user": Primero.USER, "case_system_secret": SecretStr(Primero.PASSWORD)},
        "commcare": {
            "case_system_user": CommCare.USER,
            "case_system_secret": SecretStr(CommCare.KEY),
            "case_system_values": "owner=20cc9dda-b90a-4af3-aa3d-fc67184e73ef",
        },
        "rapidpro": {
            "case_system_secret": SecretStr(RapidPro.TOKEN),
            "case_system_values": f"flow={RapidPro.FLOW}, group={RapidPro.GROUP}",
        },
    }
    url = address + (f"/a/{CommCare.DOMAIN}" if name == "commcare" else "")
    return Settings(_env_file=None, **{"case_system": name, "case_system_url": url, **told[name], **given})


def own_fields() -> set[str]:
    """The fields that an operator adds to Primero, as our mapping names them."""
    return set(re.findall(r"\brafiq_\w+", (systems.MAPPINGS / "primero.yml").read_text(encoding="utf-8")))


@asynccontextmanager
async def told(database: Database, system: System, name: str) -> AsyncIterator[tuple[System, CaseDelivery]]:
    """The system serving, and the delivery that tells it."""
    worker = CaseDelivery(database, systems.backend(settings_of(system.url, name)), timeout=5)
    async with system.serving():
        yield system, worker
        await worker.close()


@pytest.fixture
async def primero(database: Database) -> AsyncIterator[tuple[Primero, CaseDelivery]]:
    async with told(database, Primero(own_fields()), "primero") as both:
        yield both


@pytest.fixture
async def commcare(database: Database) -> AsyncIterator[tuple[CommCare, CaseDelivery]]:
    async with told(database, CommCare(), "commcare") as both:
        yield both


@pytest.fixture
async def rapidpro(database: Database) -> AsyncIterator[tuple[RapidPro, CaseDelivery]]:
    async with told(database, RapidPro(), "rapidpro") as both:
        yield both


@pytest.fixture(params=NAMES)
async def any_system(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[tuple[Any, CaseDelivery]]:
    makers = {"primero": lambda: Primero(own_fields()), "commcare": CommCare, "rapidpro": RapidPro}
    async with told(database, makers[request.param](), request.param) as both:
        yield both


async def happens(database: Database, type_: str, data: Any = None) -> None:
    """Something that the case backend is told."""
    async with database.session() as session:
        await events.record(
            session,
            type_=type_,
            key=str(uuid.uuid4()),
            person_id=None,
            occurred_at=NOW,
            data=DATA[type_] if data is None else data,
        )
        await session.commit()


async def states(database: Database) -> list[tuple[str, str, str | None]]:
    async with database.session() as session:
        rows = await session.scalars(select(CaseEvent).order_by(CaseEvent.id))
        return [(row.type, row.status, row.error) for row in rows]


async def time_passes(database: Database) -> None:
    async with database.session() as session:
        await session.execute(text("UPDATE case_event SET next_at = now() WHERE next_at IS NOT NULL"))
        await session.commit()


def kept(system: Any) -> Any:
    """What the system holds now."""
    return system.starts if isinstance(system, RapidPro) else system.cases


# Primero


async def test_primero_request(database: Database, primero: tuple[Primero, CaseDelivery]) -> None:
    """A request is a case under a UUID made from its reference; each of our fields arrives under its name."""
    system, worker = primero
    await happens(database, "request.created")
    await worker.work()
    [(key, case)] = system.cases.items()
    assert key == str(uuid.uuid5(systems.NAMESPACE, "AV-7K3Q"))
    assert case == {
        "id": key,
        "name": "AV-7K3Q",
        "status": "open",
        "risk_level": "high",
        "rafiq_reference": "AV-7K3Q",
        "rafiq_priority": "P1",
        "rafiq_age_group": "adult",
        "rafiq_languages": ["fr"],
        "rafiq_direction": "from_morocco",
        "rafiq_country_of_return": "SN",
        "rafiq_flags": ["ill_or_disabled"],
        "rafiq_channel": "telegram",
        "rafiq_by_phone": True,
        "rafiq_consent_given_at": NOW.isoformat(),
    }
    assert [(method, path) for method, path, _ in system.requests] == [
        ("POST", "/api/v2/tokens"),
        ("POST", "/api/v2/cases"),
    ]


async def test_primero_update_leaves_peoples_work(database: Database, primero: tuple[Primero, CaseDelivery]) -> None:
    """A request that is sent again changes our fields, also back to nothing, and none that people there changed."""
    system, worker = primero
    await happens(database, "request.created")
    await worker.work()
    [case] = system.cases.values()
    case |= {"name": "a real name", "status": "closed", "risk_level": "low"}
    await happens(database, "request.updated", LESS)
    await worker.work()
    assert (case["name"], case["status"], case["risk_level"]) == ("a real name", "closed", "low")
    assert (case["rafiq_priority"], case["rafiq_country_of_return"], case["rafiq_flags"]) == ("P2", None, [])
    assert system.logins == 1


async def test_primero_withdrawal_empties(database: Database, primero: tuple[Primero, CaseDelivery]) -> None:
    """What we told goes, all of it but the reference; a request that it never heard of is no failure."""
    system, worker = primero
    await happens(database, "request.created")
    await happens(database, "request.withdrawn")
    await happens(database, "request.withdrawn", {"ref": "AV-9999"})
    await worker.work()
    [case] = system.cases.values()
    assert {name for name, value in case.items() if value is not None} == {"id", "name", "status", "rafiq_reference"}
    assert case["status"] == "closed"
    assert {status for _, status, _ in await states(database)} == {"delivered"}


async def test_primero_token_runs_out(database: Database, primero: tuple[Primero, CaseDelivery]) -> None:
    """A token lasts an hour: it is renewed when it is refused, within the same attempt."""
    system, worker = primero
    for ref in ("AV-2222", "AV-3333"):
        await happens(database, "request.created", {**REQUEST, "ref": ref})
        await worker.work()
        system.tokens.clear()
    assert len(system.cases) == 2
    assert system.logins == 2


async def test_primero_wrong_password(database: Database, primero: tuple[Primero, CaseDelivery]) -> None:
    """A login that fails is a failure that says so, even where a 404 of the case itself would be none."""
    system, worker = primero
    for status in (401, 404):
        await happens(database, "request.withdrawn", {"ref": "AV-2222"})
        system.trouble = [Trouble(status)]
        await worker.work()
        assert (await states(database))[-1] == ("request.withdrawn", "queued", f"login: HTTP {status}")
        async with database.session() as session:
            await session.execute(text("DELETE FROM case_event"))
            await session.commit()


async def test_primero_interviews(database: Database, primero: tuple[Primero, CaseDelivery]) -> None:
    """An interview is a case: moved, the old one ends and the new one holds its time; cancelled, its time goes."""
    system, worker = primero
    await happens(database, "interview.booked", {**INTERVIEW, "ref": "RV-7K3QY", "replaces": None})
    await happens(database, "interview.moved")
    await happens(database, "interview.done", {"ref": "RV-99999"})  # which it never heard of
    await worker.work()
    old, new = (system.cases[str(uuid.uuid5(systems.NAMESPACE, ref))] for ref in ("RV-7K3QY", "RV-7K3QX"))
    assert len(system.cases) == 2
    assert (old["status"], old["rafiq_interview"], old["rafiq_interview_at"]) == ("closed", "moved", None)
    assert {name: value for name, value in new.items() if name != "id"} == {
        "name": "RV-7K3QX",
        "status": "open",
        "rafiq_reference": "RV-7K3QX",
        "rafiq_request": "AV-7K3Q",
        "rafiq_interview": "booked",
        "rafiq_interview_at": NOW.isoformat(),
        "rafiq_interview_local": "2026-11-22T10:00",
        "rafiq_interview_zone": "Africa/Casablanca",
        "rafiq_interview_mode": "in_person",
        "rafiq_office": "rabat",
        "rafiq_interview_language": "fr",
        "rafiq_interpreter": False,
        "rafiq_interviewer": "woman",
        "rafiq_accompanied": True,
        "rafiq_access": False,
    }
    await happens(database, "interview.cancelled")
    await worker.work()
    assert (new["status"], new["rafiq_interview"], new["rafiq_interview_local"]) == ("closed", "cancelled", None)
    assert {status for _, status, _ in await states(database)} == {"delivered"}


A, B, C = "RV-2222A", "RV-2222B", "RV-2222C"


def interview(ref: str, replaces: str | None) -> dict[str, Any]:
    """An appointment that takes another's place."""
    return {**INTERVIEW, "ref": ref, "replaces": replaces}


@pytest.mark.parametrize("failing", [["A"], ["A", "B"], ["B"]])
async def test_an_appointment_that_was_moved_stays_moved(
    database: Database, primero: tuple[Primero, CaseDelivery], failing: list[str]
) -> None:
    """Booked, moved, moved again: whatever of it is told late, one appointment is open in the end, the last."""
    system, worker = primero
    system.tokens.add("t")
    for name, type_, data in (
        ("A", "interview.booked", interview(A, None)),
        ("B", "interview.moved", interview(B, A)),
        ("C", "interview.moved", interview(C, B)),
    ):
        await happens(database, type_, data)
        if name in failing:
            system.trouble = [Trouble(500)]
        await worker.work()
    for _ in range(3):
        await time_passes(database)
        await worker.work()
    assert not {status for _, status, _ in await states(database)} & {"queued", "dead"}
    standing = {case["rafiq_reference"] for case in system.cases.values() if case["status"] == "open"}
    assert standing == {C}
    for case in system.cases.values():
        assert case["rafiq_interview"] == ("booked" if case["rafiq_reference"] == C else "moved")


@pytest.mark.parametrize(
    ("index", "about"),
    [
        ("case_event_replaces", "case_event.payload #>> '{data,replaces}' = 'RV-2222A'"),
        (
            "case_event_erased",
            "case_event.type = 'person.erased'"
            " AND case_event.payload #> '{data,refs}' @> to_jsonb(CAST('RV-2222A' AS text))",
        ),
    ],
)
async def test_what_is_known_later_is_found_by_an_index(database: Database, index: str, about: str) -> None:
    """Every event looks for what took its place, and for an erasing: not through all that was ever told."""
    async with database.session() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = " ".join(await session.scalars(text(f"EXPLAIN SELECT id FROM case_event WHERE {about}")))
    assert index in plan


# Erasing

THEIRS = ["AV-7K3Q", "RV-7K3QX", "RV-7K3QY", "H-7K3QX", "CK-7K3QX"]
ERASED = {"receipt": "EF-7K3QX", "refs": THEIRS}


async def all_is_told(database: Database) -> None:
    """Everything of one person, and of another one who stays."""
    for type_ in ("request.created", "handoff.requested"):
        await happens(database, type_)
    await happens(database, "interview.booked", {**INTERVIEW, "ref": "RV-7K3QX", "replaces": None})
    await happens(database, "interview.done", {"ref": "RV-7K3QX"})
    await happens(database, "interview.booked", {**INTERVIEW, "ref": "RV-7K3QY", "replaces": None})
    await happens(database, "handoff.requested", {**DATA["handoff.requested"], "handoff": "H-22222"})


async def test_primero_erasing_closes_and_empties(database: Database, primero: tuple[Primero, CaseDelivery]) -> None:
    """Every case of theirs is closed and holds its reference only, an open handoff's too; nobody else's changes."""
    system, worker = primero
    await all_is_told(database)
    await worker.work()
    told = {name for case in system.cases.values() for name, value in case.items() if value is not None}
    assert own_fields() <= told | {"rafiq_flags", "rafiq_direction", "rafiq_country_of_return"}, "every field was used"
    await happens(database, "person.erased", ERASED)
    await worker.work()
    by_reference = {case["rafiq_reference"]: case for case in system.cases.values()}
    other = by_reference.pop("H-22222")
    assert (other["status"], other["rafiq_reason"]) == ("open", "violence")
    assert set(by_reference) == {"AV-7K3Q", "RV-7K3QX", "RV-7K3QY", "H-7K3QX"}
    for case in by_reference.values():
        left = {name for name, value in case.items() if value is not None}
        assert left == {"id", "name", "status", "rafiq_reference"} and case["status"] == "closed"
    assert {status for _, status, _ in await states(database)} == {"delivered"}


async def test_commcare_erasing_closes_and_empties(database: Database, commcare: tuple[CommCare, CaseDelivery]) -> None:
    """The same; an enrolment, of which nothing was told, does not become a case."""
    system, worker = commcare
    await all_is_told(database)
    await worker.work()
    await happens(database, "person.erased", ERASED)
    await worker.work()
    other = system.cases.pop("H-22222")
    assert (other["closed"], other["properties"]["reason"]) == (False, "violence")
    assert set(system.cases) == {"AV-7K3Q", "RV-7K3QX", "RV-7K3QY", "H-7K3QX"}
    for case in system.cases.values():
        assert case["closed"] and set(case["properties"].values()) == {""}
    assert {status for _, status, _ in await states(database)} == {"delivered"}


async def test_what_was_erased_is_not_told_late(database: Database, any_system: tuple[Any, CaseDelivery]) -> None:
    """A handoff whose telling failed does not come back after the erasing was told, nor from among the dead."""
    system, worker = any_system
    await happens(database, "handoff.requested")
    system.trouble = [Trouble(500)]
    await worker.work()
    await happens(database, "person.erased", ERASED)
    await worker.work()
    before = copy.deepcopy(kept(system))
    await time_passes(database)
    await worker.work()
    await happens(database, "handoff.requested")
    async with database.session() as session:
        await session.execute(text("UPDATE case_event SET id = 0, status = 'dead' WHERE id = 3"))
        await session.commit()
    await replay(database)
    await worker.work()
    assert kept(system) == before
    assert {status for type_, status, _ in await states(database) if type_ != "person.erased"} == {"overtaken"}


async def test_erasing_who_had_no_number_is_told(database: Database, any_system: tuple[Any, CaseDelivery]) -> None:
    """Nothing was told of them, and nothing waits for three days."""
    _, worker = any_system
    await happens(database, "person.erased", {"receipt": "EF-7K3QX", "refs": []})
    await worker.work()
    assert [status for _, status, _ in await states(database)] == ["delivered"]


# CommCare


async def test_commcare_interviews(database: Database, commcare: tuple[CommCare, CaseDelivery]) -> None:
    """An interview is a case of its own type: asked for, fixed, moved, missed; what is over is closed."""
    system, worker = commcare
    await happens(database, "interview.requested", {**DATA["interview.requested"], "ref": "RV-7K3QY"})
    await worker.work()
    [old] = system.cases.values()
    assert (old["properties"]["interview"], old["properties"]["starts_at"], old["closed"]) == ("requested", "", False)
    await happens(database, "interview.moved")
    await worker.work()
    new = system.cases["RV-7K3QX"]
    assert (old["properties"]["interview"], old["closed"]) == ("moved", True)
    assert (new["case_type"], new["closed"]) == ("rafiq_interview", False)
    assert new["properties"] == {
        "request": "AV-7K3Q",
        "interview": "booked",
        "starts_at": NOW.isoformat(),
        "wall": "2026-11-22T10:00",
        "zone": "Africa/Casablanca",
        "mode": "in_person",
        "office": "rabat",
        "language": "fr",
        "interpreter": "no",
        "interviewer": "woman",
        "accompanied": "yes",
        "access": "no",
    }
    await happens(database, "interview.missed")
    await worker.work()
    assert (new["properties"]["interview"], new["closed"], len(system.cases)) == ("missed", True, 2)


async def test_commcare_request(database: Database, commcare: tuple[CommCare, CaseDelivery]) -> None:
    """A request is a case with its reference as external id; every value is text."""
    system, worker = commcare
    await happens(database, "request.created")
    await worker.work()
    [(external_id, case)] = system.cases.items()
    assert (external_id, case["case_type"], case["case_name"], case["closed"]) == (
        "AV-7K3Q",
        "rafiq_request",
        "AV-7K3Q",
        False,
    )
    assert case["owner_id"] == "20cc9dda-b90a-4af3-aa3d-fc67184e73ef"
    assert case["properties"] == {
        "priority": "P1",
        "age_group": "adult",
        "languages": "fr",
        "direction": "from_morocco",
        "country_of_return": "SN",
        "flags": "ill_or_disabled",
        "channel": "telegram",
        "by_phone": "yes",
        "consent_given_at": NOW.isoformat(),
    }


async def test_commcare_update_and_withdrawal(database: Database, commcare: tuple[CommCare, CaseDelivery]) -> None:
    """Sent again, the same case holds the new answers; withdrawn, it is closed and empty."""
    system, worker = commcare
    await happens(database, "request.created")
    await happens(database, "request.updated", LESS)
    await worker.work()
    [case] = system.cases.values()
    assert case["properties"]["country_of_return"] == case["properties"]["flags"] == ""
    assert case["properties"]["priority"] == "P2"
    await happens(database, "request.withdrawn")
    await worker.work()
    [case] = system.cases.values()
    assert case["closed"] is True
    assert set(case["properties"].values()) == {""}


# RapidPro


async def test_rapidpro_starts(database: Database, rapidpro: tuple[RapidPro, CaseDelivery]) -> None:
    """Every event starts the flow once, for the staff's group, with the reference and the priority and no more."""
    system, worker = rapidpro
    for type_ in TYPES:
        await happens(database, type_)
    await worker.work()
    assert [start["params"]["type"] for start in reversed(system.starts)] == list(TYPES)
    async with database.session() as session:
        ids = [str(row.event_id) for row in await session.scalars(select(CaseEvent).order_by(CaseEvent.id))]
    assert [start["params"]["event"] for start in reversed(system.starts)] == ids
    references = [*["AV-7K3Q"] * 3, "H-7K3QX", *["RV-7K3QX"] * 6, *["CK-7K3QX"] * 5, "EF-7K3QX"]
    assert [start["params"]["reference"] for start in reversed(system.starts)] == references
    assert {frozenset(start["params"]) for start in system.starts} == {
        frozenset({"event", "type", "reference", "priority"})
    }


# all of them


async def test_every_event_is_taken(database: Database, any_system: tuple[Any, CaseDelivery]) -> None:
    """All that our schemas allow is accepted: every type, with all said and with as little as may be."""
    _, worker = any_system
    for reason in validator("handoff.requested").schema["properties"]["data"]["properties"]["reason"]["enum"]:  # type: ignore[index]
        await happens(database, "handoff.requested", {**DATA["handoff.requested"], "reason": reason})
    for number, data in enumerate((REQUEST, LESS)):
        for type_ in ("request.created", "request.updated", "request.withdrawn"):
            given = {"ref": f"AV-222{number + 2}"}
            await happens(database, type_, given if type_ == "request.withdrawn" else {**data, **given})
    least = {"language": None, "interpreter": False, "interviewer": None, "accompanied": False, "access": False}
    wished = DATA["interview.requested"]
    most: dict[str, Any] = {}
    for number, data in enumerate((most, {"request": None, "mode": None, "wishes": least})):
        given = {**data, "ref": f"RV-2222{number + 2}"}
        await happens(database, "interview.requested", {**wished, **given})
        for type_ in ("interview.booked", "interview.moved"):
            await happens(database, type_, {**INTERVIEW, **given})
        for type_ in ("interview.missed", "interview.done", "interview.cancelled"):
            await happens(database, type_, {**DATA[type_], "ref": given["ref"]})
    await worker.work()
    assert {status for _, status, _ in await states(database)} == {"delivered"}


@pytest.mark.parametrize("type_", ["request.created", "handoff.requested", "interview.requested"])
async def test_told_twice_is_there_once(database: Database, any_system: tuple[Any, CaseDelivery], type_: str) -> None:
    """The system did it and its answer was lost: the next attempt finds it done."""
    system, worker = any_system
    await happens(database, type_)
    before = {Primero: 1, CommCare: 0, RapidPro: 1}[type(system)]  # requests before the one with the effect
    system.trouble = [*[None] * before, Trouble(502, late=True)]
    await worker.work()
    assert len(kept(system)) == 1
    assert (await states(database))[0][1:] == ("queued", "HTTP 502")
    await time_passes(database)
    await worker.work()
    assert (await states(database))[0][1:] == ("delivered", None)
    assert len(kept(system)) == 1


async def test_an_older_event_does_not_win(database: Database, any_system: tuple[Any, CaseDelivery]) -> None:
    """A request whose telling failed is not told any more once its withdrawal was: nor from among the dead."""
    system, worker = any_system
    await happens(database, "request.created")
    system.trouble = [Trouble(500)]
    await worker.work()
    await happens(database, "request.withdrawn")
    await happens(database, "request.created", {**REQUEST, "ref": "AV-2222"})
    await worker.work()
    before = copy.deepcopy(kept(system))
    await time_passes(database)
    await worker.work()
    assert [status for _, status, _ in await states(database)] == ["overtaken", "delivered", "delivered"]
    async with database.session() as session:
        await session.execute(text("UPDATE case_event SET status = 'dead' WHERE id = 1"))
        await session.commit()
    await replay(database)
    await worker.work()
    assert kept(system) == before
    assert [status for _, status, _ in await states(database)] == ["overtaken", "delivered", "delivered"]


async def test_handoffs_do_not_overtake_each_other(database: Database, any_system: tuple[Any, CaseDelivery]) -> None:
    """A handoff has no later event: one that failed is told after others that did not."""
    system, worker = any_system
    await happens(database, "handoff.requested")
    system.trouble = [Trouble(500)]
    await worker.work()
    await happens(database, "handoff.requested", {**DATA["handoff.requested"], "handoff": "H-22222"})
    await worker.work()
    await time_passes(database)
    await worker.work()
    assert len(kept(system)) == 2


@pytest.mark.parametrize("status", [302, 400, 403, 422, 500, 503])
async def test_a_refusal_waits(database: Database, any_system: tuple[Any, CaseDelivery], status: int) -> None:
    """Whatever it answers but yes goes through the same schedule as the webhook's."""
    system, worker = any_system
    await happens(database, "request.created")
    system.trouble = [Trouble(status, {"location": "http://127.0.0.1:1/"})]
    await worker.work()
    assert (await states(database))[0][2] in (f"HTTP {status}", f"login: HTTP {status}")
    assert await worker.due() == []
    await time_passes(database)
    await worker.work()
    assert (await states(database))[0][1] == "delivered"


async def test_retry_after_is_kept(database: Database, any_system: tuple[Any, CaseDelivery]) -> None:
    """429 with Retry-After: this event waits as long, and the others a while."""
    system, worker = any_system
    await happens(database, "request.created")
    await happens(database, "handoff.requested")
    system.trouble = [Trouble(429, {"retry-after": "600"})]
    await worker.work()
    assert len(system.requests) == 1
    assert await worker.due() == []
    async with database.session() as session:
        first = await session.scalar(select(CaseEvent).order_by(CaseEvent.id).limit(1))
    assert first is not None and first.next_at is not None
    assert timedelta(seconds=590) < first.next_at - datetime.now(UTC) <= timedelta(seconds=600)


async def test_dead_in_the_end(database: Database, any_system: tuple[Any, CaseDelivery]) -> None:
    """After ten attempts the event is laid aside, with an alert that names no reference."""
    system, worker = any_system
    await happens(database, "request.created")
    with capture_logs() as logs:
        for _ in range(len(delivering.SCHEDULE) + 1):
            system.trouble = [Trouble(500)] * 2
            await worker.work()
            await time_passes(database)
    assert (await states(database))[0][1] == "dead"
    async with database.session() as session:
        [alert] = await session.scalars(select(Alert))
    said = json.dumps([alert.detail, logs], default=str)
    for word in ("AV-7K3Q", system.url, Primero.PASSWORD, CommCare.KEY, RapidPro.TOKEN):
        assert word not in said
        assert word not in repr(worker) or word == system.url


async def test_gone_keeps_the_queue(database: Database, any_system: tuple[Any, CaseDelivery]) -> None:
    """410 disables the address, as with the webhook."""
    system, worker = any_system
    await happens(database, "request.created")
    await worker.work()
    await happens(database, "handoff.requested")
    system.trouble = [Trouble(410)]
    await worker.work()
    assert (await states(database))[1][1:] == ("queued", None)
    assert await worker.due() == []


# what a mapping may say


def test_rapidpro_tells_the_least() -> None:
    """Flows end up on telephones: no flag, no reason, no country, nothing of the person."""
    mapping = systems.SystemMapping.load(systems.MAPPINGS / "rapidpro.yml")
    for type_ in TYPES:
        named = {path for path, _ in mapping._placeholders(type_)}
        assert {path for path in named if path.startswith("data.")} <= {
            "data.ref", "data.handoff", "data.receipt", "data.request.priority", "data.priority",
        }  # fmt: skip


def test_reasons_of_the_mappings_are_the_schemas() -> None:
    """Each word of a list is one that an event can hold, and all but one are there."""
    reasons = set(validator("handoff.requested").schema["properties"]["data"]["properties"]["reason"]["enum"])  # type: ignore[index]
    for name in ("primero", "commcare"):
        words = systems.SystemMapping.load(systems.MAPPINGS / f"{name}.yml").words["reason"]
        assert reasons - words.keys() == {"cue:staff_misconduct"}
        assert set(words) <= reasons


GOOD: dict[str, Any] = {
    "authorization": "Token {settings.secret}",
    "events": {type_: [{"method": "POST", "path": "/", "body": {"id": "{id}"}}] for type_ in TYPES},
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"authorization": None}, "authorization"),
        ({"more": 1}, "more"),
        ({"events": {}}, "checkin.completed"),
        ({"events": {**GOOD["events"], "request.lost": []}}, "request.lost"),
        ({"events": {**GOOD["events"], "request.created": [{"method": "POST", "path": "x"}]}}, "path"),
        ({"events": {**GOOD["events"], "request.created": [{"method": "FETCH", "path": "/"}]}}, "method"),
        (
            {
                "events": {
                    **GOOD["events"],
                    "request.created": [{"method": "POST", "path": "/", "body": {"x": "{data.person.name}"}}],
                }
            },
            "data.person.name",
        ),
        (
            {
                "events": {
                    **GOOD["events"],
                    "interview.done": [{"method": "POST", "path": "/", "when": "data.replaces"}],
                }
            },
            "interview.done has no data.replaces",
        ),
        (
            {
                "events": {
                    **GOOD["events"],
                    "person.erased": [{"method": "PUT", "path": "/", "each": {"in": "data.all"}}],
                }
            },
            "person.erased has no data.all",
        ),
        (
            {"events": {**GOOD["events"], "request.created": [{"method": "POST", "path": "/{each}"}]}},
            "request.created has no each",
        ),
        (
            {
                "events": {
                    **GOOD["events"],
                    "request.created": [{"method": "POST", "path": "/{data.ref|shout}"}],
                }
            },
            "shout",
        ),
    ],
)
def test_a_wrong_mapping_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    """An operator's own mapping that cannot work stops the start, with one line that says where."""
    file = tmp_path / "ours.yml"
    file.write_text(yaml.dump({**GOOD, **change}))
    given = {"case_system": "primero", "case_system_url": "https://x", "case_system_secret": "canary"}
    with pytest.raises(SettingsError) as raised:
        systems.backend(Settings(_env_file=None, case_mapping=file, **given))  # type: ignore[arg-type]
    assert "ours.yml" in str(raised.value) and said in str(raised.value)
    assert "\n" not in str(raised.value)


async def test_an_own_mapping(database: Database, tmp_path: Path) -> None:
    """CASE_MAPPING puts another file in the place of the built-in one."""
    file = tmp_path / "ours.yml"
    step = {"method": "PUT", "path": "/cases/{data.ref}", "body": {"data": {"risk": "{data.request.priority|levels}"}}}
    mapping = {**GOOD, "words": {"levels": {"P1": 1}}, "events": {**GOOD["events"], "request.created": [step]}}
    file.write_text(yaml.dump(mapping))

    class Anything(CaseSystem):
        async def answer(self, request: Any, body: Any) -> Any:
            from starlette.responses import Response

            return Response(status_code=204)

    system = Anything()
    settings = settings_of(system.url, "primero", case_mapping=file)
    worker = CaseDelivery(database, systems.backend(settings))
    await happens(database, "request.created")
    async with system.serving():
        await worker.work()
        await worker.close()
    assert system.requests == [("PUT", "/cases/AV-7K3Q", {"data": {"risk": 1}})]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_is_named(name: str) -> None:
    """The settings that a system needs, one at a time, each by its name."""
    complete = settings_of("https://cases.example.org", name)
    systems.backend(complete)
    for field in ("case_system_user", "case_system_secret", "case_system_values"):
        if not getattr(complete, field):
            continue
        empty: Any = {} if field == "case_system_values" else None
        with pytest.raises(SettingsError) as raised:
            systems.backend(complete.model_copy(update={field: empty}))
        assert field.upper() in str(raised.value)


def test_no_field_is_told_that_is_not_in_an_event() -> None:
    """The placeholders are read against the schema, so a schema without a field has no mapping with it."""
    for type_ in TYPES:
        for path in leaves(DATA[type_]):
            if 0 in path[:-1]:
                continue  # no mapping names what stands in the entries of a list
            assert systems._has(validator(type_).schema, ".".join(["data", *(str(part) for part in path if part != 0)]))
        for name in ("name", "phone", "person.name", "contact.address", "request.note"):
            assert not systems._has(validator(type_).schema, f"data.{name}")
