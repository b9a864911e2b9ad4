"""What a journey works with: the person, the turn's transaction, and the words to say."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from bot import i18n
from bot.assistant.rasa import Understanding
from bot.db.encryption import Vault
from bot.messages import Document, Language
from bot.settings import Settings


@dataclass(frozen=True, slots=True)
class Choice:
    """A button to be: its title, and what pressing it does (`intent` and `slots` for Rasa, or `do` and `with`)."""

    title: str
    action: Mapping[str, Any]


# Texts that show something of before: for the person alone who told it, should the address change hands.
SENSITIVE = ("my_data", "request_status.", "withdrawn", "first_contact.review", "first_contact.updated",
             "interview.status", "interview.review", "interview.booked", "interview.cancel_ask",
             "checkin.enrolled", "checkin.moved", "consents", "safe_word.change")  # fmt: skip


@dataclass(slots=True)
class Saying:
    """One paragraph of the reply, with the choices under it."""

    text: str
    choices: list[Choice] = field(default_factory=list)
    sensitive: bool = False
    document: Document | None = None


@dataclass(slots=True)
class Context:
    """One turn, as the journeys see it. Everything they write is in `session`, and commits with the turn."""

    session: AsyncSession
    vault: Vault
    settings: Settings
    now: datetime
    inbox_id: int
    person_id: int
    person_key: bytes
    conversation_id: int
    channel: str
    language: Language
    text: str = ""
    understanding: Understanding = field(default_factory=Understanding)
    answers: Mapping[str, Any] = field(default_factory=dict)  # of the form in progress
    form: str | None = None
    draft: int | None = (
        None  # the appointment that is being made: the service's own form, see bot/journeys/interviews.py
    )
    checkin: int | None = None  # the check-in whose questions are open: see bot/journeys/checkins.py
    first: bool = False  # the conversation's first turn
    misunderstood: int = 0
    owner_id: uuid.UUID | None = None  # who of the team speaks in this conversation
    also: str | None = None  # the topic of a second question in the same message
    topic: str | None = None  # what was answered, or NOT_UNDERSTOOD: counted, see bot/conversation/figures.py
    sayings: list[Saying] = field(default_factory=list)
    # what the turn applies to the conversation when the journeys are done
    language_chosen: bool = False
    forget_dialogue: bool = False  # Rasa's memory of this conversation is dropped
    erased: bool = False
    forget_words: bool = False  # what was heard is not kept: it went where it belongs
    hidden: bool = False  # the safe word was written: what is personal waits until they are known again
    dialogue: tuple[str, str | None] | None = None  # Rasa's conversation that goes on instead, and its form

    def say(self, text_id: str, choices: Sequence[Choice] = (), **values: object) -> None:
        """Add a text of the catalogs to the reply."""
        text = i18n.say(text_id, self.language, **values)
        self.sayings.append(Saying(text, list(choices), text_id.startswith(SENSITIVE)))

    def say_text(self, text: str, choices: Sequence[Choice] = ()) -> None:
        """Add a text that is ready."""
        self.sayings.append(Saying(text, list(choices)))

    def button(self, text_id: str, action: Mapping[str, Any]) -> Choice:
        """A choice whose title is a text of the catalogs."""
        return Choice(i18n.say(text_id, self.language), action)

    def do(self, text_id: str, verb: str, **arguments: Any) -> Choice:
        """A choice that the service answers itself, Rasa up or down."""
        return self.button(text_id, {"do": verb, "with": arguments})

    def intend(self, text_id: str, intent: str, **slots: Any) -> Choice:
        """A choice that goes on in the dialogue, as if the person had said it."""
        return self.button(text_id, {"intent": intent, "slots": slots})


NOT_UNDERSTOOD = "not_understood"  # instead of a topic
ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # no 0 O 1 I L: references are read aloud


def new_reference(prefix: str) -> str:
    """A random reference that says nothing: AV-7K3Q."""
    return prefix + "-" + "".join(secrets.choice(ALPHABET) for _ in range(4 if prefix == "AV" else 5))
