"""`rafiq demo`: a month of invented people, so that whoever looks at the console sees it at work.

First the month is invented, from a seed and without a database; then it is written, with the product's own texts,
models, keys and schedules, as the turns, the team and the timers would have left it. Nobody exists, no number rings
(those of +33 6 39 98 are kept free for films), and nothing is queued: what would have gone counts as gone.
"""

from __future__ import annotations

import random
import secrets
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from bot import i18n
from bot.appointments import bookings, offices, slots, times
from bot.assistant import knowledge
from bot.assistant.forms import forms
from bot.cases import delivery as case_delivery
from bot.cases import events
from bot.checkins import questions, rounds, schedule
from bot.console import accounts
from bot.conversation import people, staff
from bot.db import invented
from bot.db.encryption import Vault
from bot.db.models import (
    Address,
    Appointment,
    CaseEvent,
    ChannelState,
    Checkin,
    ClosedDay,
    Consent,
    Conversation,
    Counsellor,
    Enrolment,
    Handoff,
    HandoffEntry,
    Inbox,
    Office,
    OrientationPoint,
    Outbox,
    Person,
    Reminder,
    Request,
    Scan,
    SentCount,
    Slot,
    StaffMember,
    Suggestion,
)
from bot.db.session import Database
from bot.journeys import checkins as asking
from bot.journeys import first_contact, handoff, interviews, learning
from bot.journeys.context import ALPHABET, NOT_UNDERSTOOD, Context
from bot.journeys.hours import later, when_somebody_reads
from bot.messages import Kind, Language
from bot.orientation import points
from bot.settings import ROOT, Settings, reading_hours

PEOPLE = 300
SEED = 7
DAYS = 30  # how far back the month goes
AHEAD = 28  # days for which interviews can be booked
SPREAD = {  # who they are, in hundredths
    "language": {"fr": 55, "ar": 28, "en": 17},
    "channel": {"whatsapp": 48, "telegram": 36, "web": 16},
    "direction": {"from_morocco": 46, "back_in_morocco": 26, "from_mauritania": 12, "back_in_mauritania": 16},
    "office": {"rabat": 72, "casablanca": 18, "oujda": 10},
}
MAIL = "demo.invalid"  # a domain that no mail can reach
_words = Path(__file__).with_name("demo.yml")


class NotEmpty(Exception):
    """There are people in this database already."""


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody of the invented team, as printed once."""

    role: str
    email: str
    password: str
    secret: str


@dataclass(slots=True)
class Said:
    """One message to a person. `inbox`: what it answers; None for what was not asked for."""

    at: datetime
    text: str
    inbox: Heard | None = None
    kind: str = "reply"  # or unasked, template
    status: str = ""
    error: str | None = None
    by: str | None = None  # the role of who of the team wrote it
    id: int = 0


@dataclass(slots=True)
class Heard:
    """One message of a person."""

    at: datetime
    kind: Kind
    text: str
    topic: str | None = None
    turn: int = 0
    id: int = 0


@dataclass(slots=True)
class Entry:
    """What happened to a handoff."""

    at: datetime
    what: str
    by: str | None
    said: Said | None = None
    note: str | None = None


@dataclass(slots=True)
class Someone:
    """One invented person and all that they did. Rows are what the tables take, but for numbers given there."""

    number: int
    language: Language
    channel: str
    direction: str
    point: int | None
    name: str
    begins: datetime
    office: str
    heard: list[Heard] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    consents: list[dict[str, Any]] = field(default_factory=list)
    request: dict[str, Any] | None = None
    appointments: list[dict[str, Any]] = field(default_factory=list)
    handoffs: list[tuple[dict[str, Any], list[Entry]]] = field(default_factory=list)
    enrolment: dict[str, Any] | None = None
    checkins: list[dict[str, Any]] = field(default_factory=list)
    suggestions: list[dict[str, Any]] = field(default_factory=list)
    told: list[tuple[str, str, datetime, dict[str, Any]]] = field(default_factory=list)  # type, key, when, data
    unreachable_at: datetime | None = None

    @property
    def busy(self) -> bool:
        """Whether a handoff of theirs is open: the story goes no further then."""
        return any(row["status"] != "released" for row, _ in self.handoffs)


@cache
def words() -> dict[str, Any]:
    """Names and sentences."""
    described: dict[str, Any] = yaml.safe_load(_words.read_text(encoding="utf-8"))
    return described


@cache
def _offices() -> dict[str, Any]:
    """The offices of the project's own list."""
    return dict(offices.read(offices.SEED)["offices"])


@cache
def _asked(language: Language) -> dict[str, list[str]]:
    """How people ask about each topic: the examples that the model is trained on."""
    described = yaml.safe_load((ROOT / "nlu" / language / "questions.yml").read_text(encoding="utf-8"))
    return {
        one["intent"]: [line.removeprefix("- ") for line in one["examples"].splitlines() if line]
        for one in described["nlu"]
        if one["intent"] in knowledge.topics()
    }


class Month:
    """Invents the people, one after the other, always the same for the same seed, moment and free times."""

    def __init__(self, settings: Settings, now: datetime, free: Sequence[Slot], seed: int) -> None:
        self.settings, self.now = settings, now
        self.dice = random.Random(seed)  # noqa: S311 (a story, no secret)
        self.free = list(free)
        self.references: set[str] = set()
        self.topics = list(knowledge.topics())
        self.popular = [0.88**rank + 0.02 for rank in range(len(self.topics))]

    def everybody(self, number: int) -> list[Someone]:
        """So many people with their month."""
        return [self._someone(one) for one in range(number)]

    def _of(self, what: str) -> str:
        return self.dice.choices(list(SPREAD[what]), list(SPREAD[what].values()))[0]

    def _likely(self, share: float) -> bool:
        return self.dice.random() < share

    def _reference(self, prefix: str) -> str:
        while True:
            length = 4 if prefix == "AV" else 5
            reference = f"{prefix}-{''.join(self.dice.choice(ALPHABET) for _ in range(length))}"
            if reference not in self.references:
                self.references.add(reference)
                return reference

    def _someone(self, number: int) -> Someone:
        dice, language = self.dice, cast("Language", self._of("language"))
        begins = self.now - timedelta(days=dice.uniform(0.1, DAYS), minutes=dice.uniform(0, 600))
        begins = begins.replace(hour=dice.choice((8, 9, 10, 11, 13, 15, 17, 18, 19, 20, 21)), minute=dice.randrange(60))
        one = Someone(
            number=number,
            language=language,
            channel=self._of("channel"),
            direction=self._of("direction"),
            point=dice.randrange(len(words()["points"])) if self._likely(0.4) else None,
            name=f"{dice.choice(words()['names'][language])} (demo)",
            begins=min(begins, self.now - timedelta(hours=3)),
            office=self._of("office"),
        )
        self._talk(one)
        if one.request is not None and one.request["answers"].get("age_group") != "child":
            self._waits(one, one.request)
        return one

    # what is heard and said

    def _hears(
        self, one: Someone, written: str, *answers: str, kind: Kind = Kind.TEXT, topic: str | None = None
    ) -> Heard:
        """The person writes, some minutes after the last word, and is answered within seconds."""
        last = max([h.at for h in one.heard] + [s.at for s in one.said] + [one.begins])
        at = min(last + timedelta(seconds=self.dice.randint(20, 240)), self.now - timedelta(minutes=1))
        heard = Heard(at, kind, written, topic, len(one.heard) + 1)
        one.heard.append(heard)
        if answers:
            one.said.append(
                Said(at + timedelta(milliseconds=self.dice.randint(300, 1900)), "\n\n".join(answers), heard)
            )
        return heard

    def _unasked(self, one: Someone, at: datetime, said: str, kind: str = "unasked", by: str | None = None) -> Said:
        message = Said(at, said, None, kind, by=by)
        one.said.append(message)
        return message

    def _say(self, one: Someone, text_id: str, **values: object) -> str:
        return i18n.say(text_id, one.language, **values)

    def _reads(self, one: Someone, at: datetime) -> str:
        return when_somebody_reads(self.settings.rafiq_reading_hours, at, one.language)

    def _tell(self, one: Someone, kind: str, key: str, at: datetime, data: dict[str, Any]) -> None:
        one.told.append((kind, key, at, data))

    # a month of one person

    def _talk(self, one: Someone) -> None:
        self._hears(one, "", self._say(one, "welcome"), kind=Kind.START)
        if self._likely(0.06):
            return  # came, and wrote nothing
        back = one.direction.startswith("back")
        for _ in range(self.dice.choice((1, 1, 2, 2, 3, 4))):
            self._question(one)
        if self._likely(0.28):
            self._unclear(one)
        if one.busy:
            return
        if self._likely(0.88 if back else 0.7):
            self._request(one)
        if one.request is not None and back and self._likely(0.92):
            self._enrol(one)
        elif one.request is not None and self._likely(0.85):
            self._interview(one)
        if not one.busy and self._likely(0.22):
            self._ask_for_a_person(one)
        elif not one.busy and self._likely(0.4):
            self._hears(one, self.dice.choice(words()["thanks"][one.language]), self._say(one, "thanks"))
        if one.channel == "telegram" and not one.busy and self._likely(0.05):
            one.unreachable_at = self.now - timedelta(hours=self.dice.randint(2, 40))

    def _question(self, one: Someone) -> None:
        [topic] = self.dice.choices(self.topics, self.popular)
        asked = self.dice.choice(_asked(one.language)[topic])
        self._hears(one, asked, knowledge.answer(topic, one.language), topic=topic)

    def _unclear(self, one: Someone) -> None:
        near = self.dice.sample(self.topics, 3)
        written = self.dice.choice(words()["unclear"][one.language])
        heard = self._hears(one, written, self._say(one, "not_understood.near"), topic=NOT_UNDERSTOOD)
        if not self._likely(0.7):
            return
        meant = self.dice.choice([*near, learning.NONE])
        kept = meant != learning.NONE and self._likely(0.6)
        one.suggestions.append({"heard": heard, "label": meant, "offered": near, "kept": kept, "at": heard.at})
        if meant == learning.NONE:
            self._hears(
                one, self._say(one, "button.none_of_these"), self._say(one, "not_understood.rephrase"), kind=Kind.PRESS
            )
            return
        said = [knowledge.answer(meant, one.language), self._say(one, "learning.ask")]
        self._hears(one, knowledge.title(meant, one.language), *said, kind=Kind.PRESS, topic=meant)
        if kept:
            agreed = self._hears(
                one, self._say(one, "button.keep_words"), self._say(one, "learning.kept"), kind=Kind.PRESS
            )
            one.consents.append({"purpose": learning.PURPOSE, "version": learning.CONSENT_VERSION, "at": agreed.at})

    def _request(self, one: Someone) -> None:
        dice = self.dice
        phone = f"+3363998{dice.randrange(10_000):04d}" if self._likely(0.7) else "chat"
        minor = not one.direction.startswith("back") and self._likely(0.03)
        wanted: dict[str, Any] = {
            "consent": "yes", "direction": one.direction, "age_group": "child" if minor else "adult",
            "name": one.name, "phone": phone, "call_time": dice.choice(("morning", "afternoon", "any")),
            "call_message": "no", "more": "yes" if self._likely(0.4) else "no",
            "country": dice.choice(words()["countries"]),
            "family": dice.choice(("alone", "family", "children")),
            "travel_document": dice.choice(("yes", "no", "unsure")),
            "urgent": dice.choice((None, None, None, "ill_or_disabled", "no_safe_place", "pregnant_or_baby")),
            "review": "send",
        }  # fmt: skip
        answers: dict[str, Any] = {}
        asked = [step for step in forms()[first_contact.FORM] if step.slot in wanted or step.slot in ("city", "note")]
        question = self._say(one, "button.return_request")
        for step in asked:
            value = wanted.get(step.slot)
            if not step.applies({**wanted, **answers}) or (minor and step.slot == "call_time"):
                continue
            ctx = _context(self.settings, one, self.now, answers)
            values = {"answers": first_contact.read_back(ctx)} if step.slot == "review" else {}
            heard = self._hears(one, question, self._say(one, step.say, **values))
            if value is None:
                answers[step.slot], question = "skip", self._say(one, "choice.skip")
                continue
            answers[step.slot] = value
            question = self._say(one, step.choice_text(value)) if value in step.choices else str(value)
            if step.answer == "country":
                question = i18n.country_name(value, one.language)
            if minor and step.slot == "phone":
                break
        heard = self._hears(one, question)
        reference, at = self._reference("AV"), heard.at
        given = {k: v for k, v in answers.items() if k not in first_contact.HIDDEN and v != "skip"}
        priority = "P1" if minor else first_contact.URGENT.get(given.get("urgent") or "", "P2")
        live = at < self.now - timedelta(days=2) and self._likely(0.75)
        one.request = {
            "reference": reference, "heard": heard, "priority": priority, "answers": given, "at": at,
            "status": "acknowledged" if live else "open",
        }  # fmt: skip
        one.consents.append({"purpose": "request", "version": first_contact.CONSENT_VERSION, "at": at})
        flag = given.get("urgent")
        self._tell(one, "request.created", f"request:{reference}", at, {
            "ref": reference,
            "consent": {"version": first_contact.CONSENT_VERSION, "given_at": at.isoformat(), "scopes": ["request"]},
            "person": {"age_group": given["age_group"], "languages": [one.language]},
            "contact": {"channel": one.channel, "by_phone": given.get("phone") != "chat"},
            "request": {
                "direction": one.direction, "country_of_return": given.get("country"),
                "flags": [first_contact.FLAGS.get(flag, flag)] if flag else [], "priority": priority,
            },
        })  # fmt: skip
        said = "first_contact.minor_sent" if minor else "first_contact.sent"
        one.said.append(Said(
            at + timedelta(seconds=1), self._say(one, said, reference=reference, when=self._reads(one, at)), heard
        ))  # fmt: skip
        if minor:
            self._handoff(one, heard, "minor", "P1", say=False)

    def _waits(self, one: Someone, request: dict[str, Any]) -> None:
        """The request waits for somebody until the case backend has it, or the team speaks with the person."""
        heard: Heard = request["heard"]
        ends = max([h.at for h in one.heard] + [s.at for s in one.said])
        spoken = next((row for row, _ in one.handoffs if row["at"] >= heard.at), None)
        if request["status"] == "open" and spoken is None and ends - heard.at > timedelta(days=2):
            request["status"] = "acknowledged"
        settled_at = None
        if request["status"] == "acknowledged":
            settled_at = min(heard.at + timedelta(hours=1 + one.number % 40), self.now - timedelta(hours=1))
        story, self.dice = self.dice, random.Random(one.number)  # noqa: S311 (the others' months stay as they are)
        self._handoff(one, heard, "request", request["priority"], say=False, settled_at=settled_at, since=ends)
        self.dice = story
        if settled_at is None and spoken is not None:  # who takes one takes what else waits in that conversation
            row = one.handoffs[-1][0]
            row |= {name: spoken[name] for name in ("status", "owner", "taken_at", "released_at", "look_at")}

    def _interview(self, one: Someone) -> None:
        assert one.request is not None  # noqa: S101 (its caller looked)
        if one.busy or one.request["answers"].get("age_group") != "adult":
            return
        heard = self._hears(one, self._say(one, "button.interview_book"))
        row: dict[str, Any] = {
            "reference": self._reference("RV"), "office": one.office, "at": heard.at, "updated": heard.at,
            "slot": None, "wall": None, "zone": "Africa/Casablanca", "starts_at": None,
            "answers": {"consent": "yes", "age_group": "adult", "mode": "in_person", "office": one.office,
                        "more": "no"},
        }  # fmt: skip
        place = self._place(one.office, one.language)
        one.consents.append({"purpose": "interview", "version": interviews.CONSENT_VERSION, "at": heard.at})
        one.appointments.append(row)
        if one.office == "rabat":
            ahead = [slot for slot in self.free if slot.starts_at > heard.at + slots.LEAD]
            if not ahead:
                row["status"] = "requested"
            else:
                slot = self.dice.choice(ahead[:20])
                self.free.remove(slot)
                row |= {"slot": slot.id, "wall": slot.wall, "zone": slot.zone, "starts_at": slot.starts_at}
        elif self._likely(0.75):
            day = heard.at + timedelta(days=self.dice.randint(2, 12))
            while day.weekday() > 4:
                day += timedelta(days=1)
            wall = f"{day:%Y-%m-%d}T{self.dice.randint(9, 15):02d}:00"
            row |= {"wall": wall, "starts_at": times.instant(wall, row["zone"])}
        starts_at = row["starts_at"]
        if starts_at is None:
            row["status"] = "requested"
            said = self._say(
                one, "interview.requested", place=place, reference=row["reference"], reads=self._reads(one, heard.at)
            )
        else:
            when = f"{i18n.written_date(starts_at, row['zone'], one.language)}, {row['wall'][11:]}"
            said = self._say(one, "interview.booked", when=when, place=place, reference=row["reference"])
            row["status"] = self._outcome(row)
        one.said.append(Said(heard.at + timedelta(seconds=1), said.strip(), heard))
        self._tell_interview(one, row)

    def _place(self, office: str, language: Language) -> str:
        return str(_offices()[office]["names"][language])

    def _outcome(self, row: dict[str, Any]) -> str:
        starts_at: datetime = row["starts_at"]
        if self._likely(0.08):
            return "cancelled"
        if starts_at < self.now - timedelta(hours=1):
            row["updated"] = min(starts_at + timedelta(hours=3), self.now)
            return self.dice.choices(("done", "missed", "past"), (70, 22, 8))[0]
        return "reminded" if starts_at - timedelta(hours=48) < self.now else "confirmed"

    def _tell_interview(self, one: Someone, row: dict[str, Any]) -> None:
        reference, at = row["reference"], row["at"]
        assert one.request is not None  # noqa: S101
        self._tell(one, "interview.requested" if row["starts_at"] is None else "interview.booked", reference, at, {
            "ref": reference, "request": one.request["reference"], "replaces": None, "mode": "in_person",
            "office": row["office"], "starts_at": row["starts_at"].isoformat() if row["starts_at"] else None,
            "wall": row["wall"], "zone": row["zone"] if row["starts_at"] else None,
            "wishes": {"language": None, "interpreter": False, "interviewer": None, "accompanied": False,
                       "access": False},
        })  # fmt: skip
        if row["status"] in ("done", "missed"):
            self._tell(one, f"interview.{row['status']}", reference, row["updated"], {"ref": reference})
        if row["status"] == "cancelled":
            self._tell(one, "interview.cancelled", reference, row["updated"], {"ref": reference, "by": "person"})

    def _enrol(self, one: Someone) -> None:
        """Agreed to be asked; the check-ins that fell into the month since then."""
        heard = self._hears(one, self._say(one, "button.checkins"), self._say(one, "checkin.consent"))
        heard = self._hears(one, self._say(one, "checkin.consent.yes"))
        returned = (heard.at - timedelta(days=self.dice.choice((11, 12, 27, 28, 88, 89, 180)))).date()
        zone = "Africa/Casablanca" if one.direction.endswith("morocco") else "Africa/Nouakchott"
        reference, months = self._reference("CK"), self.settings.rafiq_checkins_months
        one.enrolment = {
            "reference": reference,
            "at": heard.at,
            "returned_on": returned,
            "zone": zone,
            "months": months,
        }
        one.consents.append({"purpose": asking.PURPOSE, "version": asking.CONSENT_VERSION, "at": heard.at})
        before: dict[str, Any] = {}
        said = ""
        for wanted in schedule.of_file().wanted(months):
            due_at = schedule.of_file().due(returned, wanted, zone, one.number)
            if due_at < heard.at - schedule.LATE:
                continue
            due_at = max(due_at, heard.at + timedelta(hours=2))
            row: dict[str, Any] = {
                "round": wanted.id, "form": wanted.form, "weeks": wanted.weeks, "months": wanted.months,
                "status": "planned", "due_at": due_at, "next_at": due_at,
                "answers": None, "level": None, "updated": heard.at, "reminded_at": None,
            }  # fmt: skip
            one.checkins.append(row)
            if not said:
                said = i18n.written_date(due_at, zone, one.language)
                noon = datetime.combine(returned, time(12), UTC)
                back = i18n.written_date(noon, zone, one.language)
                told = self._say(one, "checkin.enrolled", returned=back, day=said)
                one.said.append(Said(heard.at + timedelta(seconds=1), told, heard))
            if due_at < self.now - timedelta(hours=1) and not one.busy:
                before = self._checkin(one, row, before) or before

    def _checkin(self, one: Someone, row: dict[str, Any], before: dict[str, Any]) -> dict[str, Any] | None:
        """One check-in, from the first message to its end; the answers."""
        assert one.enrolment is not None and one.request is not None  # noqa: S101
        due_at, reference = row["due_at"], one.enrolment["reference"]
        kind = "template" if one.channel == "whatsapp" else "unasked"
        self._unasked(one, due_at, self._say(one, "checkin.gate"), kind)
        common = {"ref": reference, "request": one.request["reference"], "round": row["round"]}
        key = f"{reference}:{row['round']}"
        if not self._likely(0.76):
            if due_at + 2 * rounds.WAIT < self.now:
                row |= {"status": "missed", "next_at": None, "reminded_at": due_at + rounds.WAIT}
                row["updated"] = due_at + 2 * rounds.WAIT
                self._unasked(one, row["reminded_at"], self._say(one, "checkin.reminder"), kind)
                self._tell(one, "checkin.missed", key, row["updated"], {**common, "why": "silent"})
            else:
                row |= {"status": "sent", "next_at": max(due_at + rounds.WAIT, self.now + timedelta(hours=6))}
                row["updated"] = due_at
            return None
        answers: dict[str, Any] = {}
        written = self._say(one, "button.checkin_now")
        stops = self.dice.randint(2, 4) if self._likely(0.1) and due_at + 2 * rounds.WAIT < self.now else 99
        while (asked := questions.following(row["form"], answers)) is not None and len(answers) < stops:
            heard = self._hears(one, written, self._say(one, asked.step.say))
            if asked.step.answer == "phone":
                value = "same"
            else:
                values = {choice: asked.value(choice) for choice in asked.choices}
                well = sorted(values, key=lambda choice: -(0.5 if (v := values[choice]) is None else v))
                weights = [0.42**rank for rank in range(len(well))]
                [value] = self.dice.choices(well, weights)
                if asked.flag(value, None) == "red" and self._likely(0.6):
                    value = well[0]
            answers[asked.id] = value
            written = self._say(one, asked.step.choice_text(value))
        read = questions.signal(answers, before)
        status = "partial" if stops < 99 else "completed"
        heard = self._hears(one, written)
        row |= {"status": status, "answers": answers, "level": read.level, "next_at": None, "updated": heard.at}
        said = self._say(one, "checkin.done")
        if read.level is not None:
            reason = f"checkin_{read.level}"
            taken = self._handoff(one, heard, reason, "P1" if read.level == "red" else "P2", say=False)
            text_id = "checkin.care" if read.level == "red" else "checkin.done_amber"
            zone = reading_hours(self.settings.rafiq_reading_hours)[3]
            day = i18n.written_date(handoff.due(self.settings, "P2", heard.at), str(zone), one.language)
            said = self._say(one, text_id, reference=taken, when=self._reads(one, heard.at), day=day)
            flagged = {**common, "level": read.level, "because": list(read.because), "handoff": taken}
            self._tell(one, "checkin.flagged", f"{key}:{read.level}", heard.at, flagged)
        one.said.append(Said(heard.at + timedelta(seconds=1), said, heard))
        self._tell(one, f"checkin.{status}", key, heard.at, {
            **common, "form": row["form"], "signal": questions.SIGNAL, "level": read.level,
            "answers": questions.told(answers, row["form"]), "dimensions": dict(read.dimensions),
            "change": dict(read.change),
        })  # fmt: skip
        return answers

    def _ask_for_a_person(self, one: Someone) -> None:
        if self._likely(0.25):
            name = self.dice.choice(list(words()["cues"]))
            cue = words()["cues"][name]
            heard = self._hears(one, cue[one.language])
            care = self._say(one, f"care.{name}")
            self._handoff(one, heard, f"cue:{name}", cue["priority"], before=care)
            return
        heard = self._hears(one, self.dice.choice(words()["person"][one.language]))
        self._handoff(one, heard, "asked", "P2")

    def _handoff(
        self,
        one: Someone,
        heard: Heard,
        reason: str,
        priority: str,
        before: str = "",
        say: bool = True,
        settled_at: datetime | None = None,
        since: datetime | None = None,
    ) -> str:
        """A person is asked for: who takes it, when, what is written, and how it stands now."""
        settings, at = self.settings, heard.at
        reference = self._reference("H")
        place = handoff.PLACES.get(one.direction) if one.request is not None else None
        row: dict[str, Any] = {
            "reference": reference, "heard": heard, "reason": reason, "priority": priority, "place": place, "at": at,
            "due_at": handoff.due(settings, priority, at), "status": "waiting", "owner": None, "taken_at": None,
            "released_at": None, "unanswered_at": None, "look_at": None,
        }  # fmt: skip
        entries: list[Entry] = []
        if reason != "request":  # the request's own event tells it
            self._tell(one, "handoff.requested", reference, at, {
                "handoff": reference, "reason": reason, "priority": priority, "language": one.language,
                "channel": one.channel,
            })  # fmt: skip
        if say:
            asked = "care.person" if before else "handoff.asked"
            told = self._say(one, asked, reference=reference, when=self._reads(one, at))
            one.said.append(Said(at + timedelta(seconds=1), "\n\n".join(filter(None, (before, told))), heard))
        one.handoffs.append((row, entries))
        if settled_at is not None:
            row |= {"status": "released", "released_at": settled_at}
            entries.append(Entry(settled_at, "settled", None))
            return reference
        if any(other is not row for other, _ in one.handoffs) and reason == "request":
            row["look_at"] = max(handoff.reminder(settings, priority, at), self.now + timedelta(minutes=20))
            return reference
        minutes = {"P0": self.dice.randint(2, 14), "P1": self.dice.randint(15, 500), "P2": self.dice.randint(30, 1000)}
        taken_at = later(settings.rafiq_reading_hours, since or at, minutes[priority])
        if priority == "P0":
            taken_at = at + timedelta(minutes=minutes["P0"])
        left = at > self.now - timedelta(days=3) and priority != "P0" and self._likely(0.5)
        if taken_at > self.now - timedelta(hours=1) or left:
            row["look_at"] = max(handoff.reminder(settings, priority, at), self.now + timedelta(minutes=20))
            return reference
        by = self.dice.choice(("counsellor", "counsellor", "supervisor", "administrator"))
        row |= {"status": "taken", "owner": by, "taken_at": taken_at}
        entries.append(Entry(taken_at, "taken", by))
        name = words()["team"][by]["name"]
        self._unasked(
            one, taken_at, self._say(one, "handoff.claimed", name=name, when=self._reads(one, taken_at)), "reply"
        )
        spoken = words()["team_words"][one.language]
        for number in range(self.dice.randint(1, 3)):
            moment = taken_at + timedelta(minutes=3 + 7 * number)
            said = self._unasked(
                one, moment, self._say(one, "handoff.reply", name=name, words=spoken[number]), "reply", by
            )
            entries.append(Entry(moment, "replied", by, said))
        if self._likely(0.3):
            entries.append(Entry(taken_at + timedelta(minutes=30), "noted", by, note=spoken[1]))
        row["look_at"] = None
        ends = taken_at + timedelta(minutes=self.dice.randint(40, 300))
        if ends < self.now - timedelta(hours=2) and self._likely(0.9):
            row |= {"status": "released", "owner": None, "released_at": ends, "look_at": None}
            entries.append(Entry(ends, "released", by))
            self._unasked(one, ends, self._say(one, "handoff.released"), "reply")
        return reference


def _context(settings: Settings, one: Someone, now: datetime, answers: dict[str, Any]) -> Context:
    """What the form's texts are made with; it writes nothing."""
    return Context(
        session=cast("AsyncSession", None), vault=cast("Vault", None), settings=settings, now=now, inbox_id=0,
        person_id=0, person_key=b"", conversation_id=0, channel=one.channel, language=one.language, answers=answers,
    )  # fmt: skip


# writing it down


async def fill(
    database: Database, settings: Settings, now: datetime, *, people_: int = PEOPLE, seed: int = SEED
) -> list[Account]:
    """Write the month into a database without people; the team's accounts. Raises `NotEmpty`."""
    async with database.session() as session:
        if await session.scalar(select(Person.id).limit(1)) is not None:
            raise NotEmpty
        own_offices = await offices.load(session, only_if_empty=True) > 0
        last = await session.scalar(select(func.coalesce(func.max(Slot.id), 0)))
        since = (now - timedelta(days=DAYS)).date()
        await slots.generate(session, since, (now + timedelta(days=AHEAD)).date(), "rabat")
        free = list(
            await session.scalars(
                select(Slot).where(Slot.office_id == "rabat", Slot.id > last).order_by(Slot.starts_at)
            )
        )
        month = Month(settings, now, free, seed).everybody(people_)
        team = await _team(session, settings)
        codes = await _points(session, database.vault, now)
        sent = Counter[tuple[str, str, str]]()
        mark = {
            "seed": seed, "offices": own_offices, "slots": [slot.id for slot in free],
            "team": [str(member) for member in team.values()],
            "points": [point.id for point in codes], "people": await _Writer(session, database.vault, now).write(
                month, team, codes, sent
            ), "sent": [[*key, number] for key, number in sorted(sent.items())],
        }  # fmt: skip
        await session.execute(insert(ChannelState).values(channel=invented.MARK, value=mark))
        await session.commit()
    return [await _account(database, role) for role in team]


async def _team(session: AsyncSession, settings: Settings) -> dict[str, uuid.UUID]:
    """One of each role."""
    added = {}
    for role, one in words()["team"].items():
        found = await staff.add(
            session, settings, f"{one['name']} (demo)", f"{role}@{MAIL}", role, languages=one["languages"]
        )
        if found is None:
            raise NotEmpty
        added[role] = found
    return added


async def _account(database: Database, role: str) -> Account:
    password, email = "-".join(secrets.token_hex(2) for _ in range(4)), f"{role}@{MAIL}"
    enrolment = await accounts.enrol(database, email, password)
    if enrolment is None:
        raise NotEmpty
    return Account(role, email, password, enrolment.secret)


async def _points(session: AsyncSession, vault: Vault, now: datetime) -> list[OrientationPoint]:
    made = [
        OrientationPoint(
            code=secrets.token_bytes(points.CODE), name=f"{one['name']} (demo)", city=one["city"],
            languages=["fr", "en", "ar"], created_at=now - timedelta(days=DAYS + 5),
        )
        for one in words()["points"]
    ]  # fmt: skip
    session.add_all(made)
    await session.flush()
    return made


@dataclass(slots=True)
class _Writer:
    """Turns people into rows, table after table."""

    session: AsyncSession
    vault: Vault
    now: datetime

    async def _many(self, table: Any, rows: list[dict[str, Any]]) -> list[int]:
        if not rows:
            return []
        returned = insert(table).returning(table.id, sort_by_parameter_order=True)
        return list(await self.session.scalars(returned, rows))

    async def write(
        self,
        month: list[Someone],
        team: dict[str, uuid.UUID],
        codes: Sequence[OrientationPoint],
        sent: Counter[tuple[str, str, str]],
    ) -> list[int]:
        """All of them; the numbers of the people."""
        session, vault, now = self.session, self.vault, self.now
        keys = [vault.new_key() for _ in month]
        ids = await self._many(
            Person,
            [
                {"key": key, "language": one.language, "language_chosen": one.number % 3 == 0, "created_at": one.begins}
                for one, key in zip(month, keys, strict=True)
            ],
        )
        who = list(zip(month, keys, ids, strict=True))
        addresses = await self._many(
            Address,
            [
                {
                    "person_id": person_id, "channel": one.channel, "created_at": one.begins,
                    "digest": vault.digest(one.channel, f"demo-{person_id}"),
                    "address_sealed": vault.seal(key, f"demo-{person_id}"), "last_heard_at": one.heard[-1].at,
                    "unreachable_at": one.unreachable_at,
                }
                for one, key, person_id in who
            ],
        )  # fmt: skip
        owners = [
            next((team[row["owner"]] for row, _ in one.handoffs if row["status"] == "taken"), None) for one in month
        ]
        threads = await self._many(
            Conversation,
            [
                {
                    "address_id": address, "person_id": person_id, "rasa_id": people.new_rasa_id(),
                    "turns": len(one.heard), "owner_id": owner, "created_at": one.begins,
                }
                for (one, _, person_id), address, owner in zip(who, addresses, owners, strict=True)
            ],
        )  # fmt: skip
        everybody = [(*row, thread) for row, thread in zip(who, threads, strict=True)]
        await self._heard(everybody, codes)
        await self._said(everybody, sent)
        await self._rest(everybody, team)
        scans = [
            {
                "conversation_id": thread,
                "person_id": person_id,
                "point_id": codes[one.point].id,
                "created_at": one.begins,
            }
            for one, _, person_id, thread in everybody
            if one.point is not None
        ]
        if scans:
            await session.execute(insert(Scan), scans)
        await self._case_events(everybody, now)
        return ids

    async def _heard(self, everybody: list[tuple[Someone, bytes, int, int]], codes: Sequence[OrientationPoint]) -> None:
        rows: list[tuple[Heard, dict[str, Any]]] = []
        for one, key, _, thread in everybody:
            for heard in one.heard:
                point = codes[one.point].code.hex() if one.point is not None and heard.kind is Kind.START else None
                external = f"demo-{thread}-{heard.turn}"
                content: dict[str, Any] = {
                    "text": heard.text, "press": "", "hint": None, "point": point, "details": {}, "id": external,
                }  # fmt: skip
                # a press of a button whose message is long over: its words are what is kept to be read
                answered = next((said.at for said in one.said if said.inbox is heard), heard.at)
                rows.append((heard, {
                    "channel": one.channel, "external_digest": self.vault.digest(one.channel, external),
                    "conversation_id": thread, "kind": heard.kind.value,
                    "content_sealed": self.vault.seal(key, content),
                    "status": "done", "attempts": 1, "turn": heard.turn, "topic": heard.topic,
                    "received_at": heard.at, "done_at": answered,
                }))  # fmt: skip
        rows.sort(key=lambda row: row[0].at)
        for (heard, _), inbox_id in zip(rows, await self._many(Inbox, [row for _, row in rows]), strict=True):
            heard.id = inbox_id

    async def _said(
        self, everybody: list[tuple[Someone, bytes, int, int]], sent: Counter[tuple[str, str, str]]
    ) -> None:
        rows: list[tuple[Said, dict[str, Any]]] = []
        for one, key, _, thread in everybody:
            for said in one.said:
                status, error = _fate(one, said, self.now)
                content: dict[str, Any] = {"text": said.text, "buttons": [], "language": one.language}
                if said.kind != "reply":
                    content["templates"] = [["checkin_ready", [], None]]
                went = status in ("sent", "delivered", "read")
                if went and one.channel != "web":
                    sent[said.at.date().isoformat(), one.channel, said.kind] += 1
                rows.append((said, {
                    "conversation_id": thread, "inbox_id": said.inbox.id if said.inbox else None, "seq": 1,
                    "unasked": said.kind != "reply", "content_sealed": self.vault.seal(key, content), "status": status,
                    "error": error, "attempts": 1 if went or status == "failed" else 0, "created_at": said.at,
                    "external_id": f"demo-{one.number}-{len(rows)}" if went and one.channel != "web" else None,
                    "sent_at": said.at + timedelta(seconds=1) if went else None,
                }))  # fmt: skip
        rows.sort(key=lambda row: row[0].at)
        for (said, _), outbox_id in zip(rows, await self._many(Outbox, [row for _, row in rows]), strict=True):
            said.id = outbox_id
        for (day, channel, kind), number in sorted(sent.items()):
            row = upsert(SentCount).values(
                day=datetime.fromisoformat(day).date(), channel=channel, kind=kind, messages=number
            )
            more = {"messages": SentCount.messages + number}
            await self.session.execute(row.on_conflict_do_update(index_elements=["day", "channel", "kind"], set_=more))

    async def _rest(self, everybody: list[tuple[Someone, bytes, int, int]], team: dict[str, uuid.UUID]) -> None:
        seal = self.vault.seal
        await self._many(Consent, [
            {"person_id": person, "purpose": row["purpose"], "version": row["version"], "channel": one.channel,
             "given_at": row["at"]}
            for one, _, person, _ in everybody for row in one.consents
        ])  # fmt: skip
        await self._many(Suggestion, [
            {"person_id": person, "inbox_id": row["heard"].id, "language": one.language, "label": row["label"],
             "offered": row["offered"], "created_at": row["at"],
             "text_sealed": seal(key, {"text": row["heard"].text}) if row["kept"] else None,
             "right_label": row["label"] if row["kept"] and row["heard"].id % 3 == 0 else None}
            for one, key, person, _ in everybody for row in one.suggestions
        ])  # fmt: skip
        await self._many(Request, [
            {"reference": row["reference"], "person_id": person, "inbox_id": row["heard"].id, "status": row["status"],
             "priority": row["priority"], "answers_sealed": seal(key, row["answers"]), "created_at": row["at"],
             "phone_digest": first_contact.phone_digest(self.vault, row["answers"].get("phone", "chat")),
             "updated_at": row["at"]}
            for one, key, person, _ in everybody if (row := one.request) is not None
        ])  # fmt: skip
        booked = [(one, key, person, thread, row) for one, key, person, thread in everybody for row in one.appointments]
        numbers = await self._many(Appointment, [
            {"reference": row["reference"], "person_id": person, "conversation_id": thread, "office_id": row["office"],
             "slot_id": row["slot"], "status": row["status"], "answers_sealed": seal(key, row["answers"]),
             "wall": row["wall"], "zone": row["zone"] if row["wall"] else None, "starts_at": row["starts_at"],
             "created_at": row["at"], "updated_at": row["updated"]}
            for _, key, person, thread, row in booked
        ])  # fmt: skip
        await self._many(Reminder, [
            {"appointment_id": number, "hours": hours, "due_at": due_at,
             "done_at": due_at if due_at < self.now else None}
            for number, (_, _, _, _, row) in zip(numbers, booked, strict=True)
            if row["status"] in ("confirmed", "reminded") for hours in bookings.REMINDERS
            if (due_at := times.awake(row["starts_at"] - timedelta(hours=hours), row["zone"])) > row["at"]
        ])  # fmt: skip
        handed = [(key, person, thread, one, *both) for one, key, person, thread in everybody for both in one.handoffs]
        numbers = await self._many(Handoff, [
            {"reference": row["reference"], "person_id": person, "conversation_id": thread, "reason": row["reason"],
             "inbox_id": row["heard"].id, "priority": row["priority"], "language": one.language, "place": row["place"],
             "status": row["status"], "owner_id": team[row["owner"]] if row["owner"] else None, "due_at": row["due_at"],
             "look_at": row["look_at"], "created_at": row["at"], "taken_at": row["taken_at"],
             "released_at": row["released_at"], "told_at": row["taken_at"]}
            for _, person, thread, one, row, _ in handed
        ])  # fmt: skip
        await self._many(HandoffEntry, [
            {"handoff_id": number, "what": entry.what, "staff_id": team[entry.by] if entry.by else None, "at": entry.at,
             "outbox_id": entry.said.id if entry.said else None, "told": "sent" if entry.said else None,
             "note_sealed": seal(key, {"text": entry.note}) if entry.note else None}
            for number, (key, _, _, _, _, entries) in zip(numbers, handed, strict=True) for entry in entries
        ])  # fmt: skip
        asked = [(one, key, person, thread) for one, key, person, thread in everybody if one.enrolment is not None]
        numbers = await self._many(Enrolment, [
            {"reference": one.enrolment["reference"], "person_id": person, "conversation_id": thread,
             "status": "active", "returned_on": one.enrolment["returned_on"], "zone": one.enrolment["zone"],
             "months": one.enrolment["months"],
             "created_at": one.enrolment["at"], "updated_at": one.enrolment["at"]}
            for one, _, person, thread in asked if one.enrolment is not None
        ])  # fmt: skip
        await self._many(Checkin, [
            {"enrolment_id": number, "person_id": person, "round": row["round"], "form": row["form"],
             "weeks": row["weeks"], "months": row["months"],
             "status": row["status"], "answers_sealed": seal(key, row["answers"]) if row["answers"] else None,
             "level": row["level"], "due_at": row["due_at"], "next_at": row["next_at"],
             "reminded_at": row["reminded_at"], "created_at": one.enrolment["at"] if one.enrolment else self.now,
             "updated_at": row["updated"]}
            for number, (one, key, person, _) in zip(numbers, asked, strict=True) for row in one.checkins
        ])  # fmt: skip

    async def _case_events(self, everybody: list[tuple[Someone, bytes, int, int]], now: datetime) -> None:
        """As delivered; two that the case backend did not take."""
        rows = []
        for one, _, person, _ in everybody:
            for kind, key, at, data in one.told:
                payload = {"schema": events.SCHEMA, "type": kind, "occurred_at": at.isoformat(), "data": data}
                events.validator(kind).validate(payload)
                rows.append({
                    "key": f"demo:{kind}:{key}", "type": kind, "person_id": person, "payload": payload,
                    "status": "delivered", "attempts": 1, "error": None, "created_at": at,
                    "delivered_at": at + timedelta(seconds=2),
                })  # fmt: skip
        rows.sort(key=lambda row: cast("datetime", row["created_at"]))
        for row in rows[len(rows) // 3 :: len(rows) // 3][:2]:
            row |= {
                "status": "dead", "attempts": len(case_delivery.SCHEDULE) + 1, "error": "HTTP 500", "delivered_at": None
            }  # fmt: skip
        await self._many(CaseEvent, rows)


def _fate(one: Someone, said: Said, now: datetime) -> tuple[str, str | None]:
    """How this message stands: nearly all went, some failed or are held."""
    lot = (one.number * 31 + int(said.at.timestamp())) % 211
    if one.unreachable_at is not None and said.at > one.unreachable_at:
        return "cancelled", "unreachable"
    if lot == 0:
        return "failed", "Refused"
    if one.channel == "whatsapp" and said.kind == "template" and lot % 40 == 1:
        return "held", "template"
    if one.channel == "whatsapp" and said.by is not None and lot % 30 == 2:
        return "held", "window"
    if one.channel == "web":
        return "delivered", None
    return ("read" if lot % 3 else "delivered") if one.channel == "whatsapp" else "sent", None


# and away again


async def remove(database: Database) -> int:
    """Take away all that was invented, and nothing else; how many people that were."""
    mark = await invented.mark(database)
    if mark is None:
        return 0
    async with database.session() as session:
        await session.execute(text("LOCK TABLE scan IN SHARE ROW EXCLUSIVE MODE"))
        whose = select(Conversation.id).where(Conversation.person_id.in_(mark["people"]))
        await session.execute(delete(Inbox).where(Inbox.conversation_id.in_(whose)))
        await session.execute(delete(CaseEvent).where(CaseEvent.person_id.in_(mark["people"])))
        await session.execute(delete(Person).where(Person.id.in_(mark["people"])))
        await session.execute(delete(Scan).where(Scan.point_id.in_(mark["points"])))
        await session.execute(delete(OrientationPoint).where(OrientationPoint.id.in_(mark["points"])))
        team = [uuid.UUID(one) for one in mark["team"]]
        await session.execute(delete(StaffMember).where(StaffMember.id.in_(team)))
        for day, channel, kind, number in mark["sent"]:
            which = (SentCount.day == datetime.fromisoformat(day).date(), SentCount.channel == channel)
            left = {"messages": SentCount.messages - number}
            await session.execute(update(SentCount).where(*which, SentCount.kind == kind).values(left))
        await session.execute(delete(SentCount).where(SentCount.messages <= 0))
        used = select(Appointment.slot_id).where(Appointment.slot_id.is_not(None))
        await session.execute(delete(Slot).where(Slot.id.in_(mark["slots"]), Slot.id.not_in(used)))
        if mark["offices"] and await session.scalar(select(Appointment.id).limit(1)) is None:
            for table in (Slot, Counsellor, ClosedDay, Office):
                await session.execute(delete(table))
        await session.execute(delete(ChannelState).where(ChannelState.channel == invented.MARK))
        await session.commit()
    return len(mark["people"])


def now() -> datetime:
    """The moment that the month ends at."""
    return datetime.now(UTC).replace(microsecond=0)
