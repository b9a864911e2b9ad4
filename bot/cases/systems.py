"""Case systems that exist, told in their own API: one mapping file each, in `bot/cases/mappings/`.

A mapping is data. It says how requests prove who they are and, for each type of event, which requests tell it:

    authorization: "Token {settings.secret}"      # or a request whose answer's Authorization header is then used
    words: {risk: {P0: high, P1: high}}           # our words → theirs; one that is not listed is left out
    events:
      request.created:
        - {method: POST, path: /cases, body: {id: "{data.ref|uuid}", risk: "{data.request.priority|risk}"},
           answers: {409: next}}                  # 2xx: told; an answer named here: the next request, or told
        - {method: PATCH, path: "/cases/{data.replaces|uuid}", body: {status: closed}, answers: {200: next},
           when: data.replaces}                   # made only where the event has this value, and also when the rest is
                                                  # not told any more because the system knows something later
        - {method: GET, path: /starts, found: {in: results, at: params.event, is: "{id}"}}  # there: told; else next
      person.erased:
        - {method: PATCH, path: "/cases/{each|uuid}", body: {status: closed}, answers: {404: next},
           each: {in: data.refs, like: "H-"}}     # made once for each value of the list that begins so; told after all

`{…}` stands for a value of the event (docs/case-events/) or of the settings. Nothing else can be said: what an
event does not hold, no mapping can tell.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import httpx
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.cases.delivery import Backend, Event, Failure, outcome
from bot.cases.events import TYPES, validator
from bot.cases.webhook import Webhook, body
from bot.settings import Settings, SettingsError

MAPPINGS = Path(__file__).resolve().parent / "mappings"
LARGEST = 4 * 1024 * 1024  # bytes of an answer that is read
NAMESPACE = uuid.UUID("6b3f6f0e-4a0e-5d0c-9d0a-7c2f4d6a9b11")  # of the UUIDs made from references: never change it
_PLACEHOLDER = re.compile(r"\{([a-z_.]+)((?:\|[a-z_]+)*)\}")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Found(_Part):
    """Whether a list in the answer (`in`) has an entry whose value `at` is this one."""

    in_: str = Field(alias="in")
    at: str
    is_: str = Field(alias="is")


class Each(_Part):
    """Every value of a list of the event (`in`) that begins like this."""

    in_: str = Field(alias="in")
    like: str = ""


class Step(_Part):
    """One request, and which answers beside 2xx mean that all is well."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str = Field(pattern="^/")
    body: dict[str, Any] | None = None
    answers: dict[int, Literal["next", "told"]] = {}
    found: Found | None = None
    when: str | None = None
    each: Each | None = None


class Login(_Part):
    """A request whose answer's Authorization header goes with the others, until they are answered 401."""

    path: str = Field(pattern="^/")
    body: dict[str, Any]


class SystemMapping(_Part):
    """What a mapping file holds."""

    authorization: str | Login
    words: dict[str, dict[str, Any]] = {}
    events: dict[str, list[Step]]

    @classmethod
    def load(cls, file: Path) -> SystemMapping:
        """Read a mapping. Raises `SettingsError` with one line that says what is wrong with it."""
        try:
            mapping = cls.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise SettingsError(f"CASE_MAPPING is wrong: {file.name}: {where}: {first['msg']}") from None
        except (OSError, UnicodeError, yaml.YAMLError) as error:
            raise SettingsError(f"CASE_MAPPING is wrong: {file} cannot be read ({type(error).__name__})") from None
        for problem in mapping.problems():
            raise SettingsError(f"CASE_MAPPING is wrong: {file.name}: {problem}")
        return mapping

    def problems(self) -> Iterator[str]:
        """One line for each type it does not tell or does not know, and each placeholder without a value."""
        for missing in sorted(set(TYPES) - self.events.keys()):
            yield f"it does not say how to tell {missing} (an empty list: not at all)"
        for unknown in sorted(self.events.keys() - set(TYPES)):
            yield f"{unknown} is no type of event"
        for type_ in self.events.keys() & set(TYPES):
            for step in self.events[type_]:
                for named in (step.when, step.each.in_ if step.each is not None else None):
                    if named is not None and not _has(validator(type_).schema, named):
                        yield f"{type_} has no {named}"
            given = {"each"} if any(step.each for step in self.events[type_]) else set()
            for path, filters in self._placeholders(type_):
                if path not in given and not _has(validator(type_).schema, path):
                    yield f"{type_} has no {path}"
                for name in filters:
                    if name not in (*FILTERS, *self.words):
                        yield f"there are no words called {name}"

    def settings(self) -> set[str]:
        """The names of the settings that it needs."""
        named = (path for type_ in self.events for path, _ in self._placeholders(type_))
        return {path.removeprefix("settings.") for path in named if path.startswith("settings.")}

    def _placeholders(self, type_: str) -> Iterator[tuple[str, list[str]]]:
        login = self.authorization if isinstance(self.authorization, str) else self.authorization.body
        steps = [step.model_dump() for step in self.events[type_]]
        for text in _texts([login, steps]):
            for match in _PLACEHOLDER.finditer(text):
                yield match[1], match[2].split("|")[1:]


def _as_uuid(value: Any) -> str:
    return str(uuid.uuid5(NAMESPACE, str(value)))


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(_as_text(one) for one in value)
    return "" if value is None else str(value)


FILTERS = {"uuid": _as_uuid, "text": _as_text}


@dataclass(slots=True)
class System:
    """A case system behind its own API. `settings`: what its mapping needs of them."""

    mapping: SystemMapping
    url: str
    settings: Mapping[str, str] = field(repr=False)
    newest_only: bool = field(default=True, init=False)  # what is told is a state: an older one must not win
    _authorization: str | None = field(default=None, init=False, repr=False)

    async def post(self, client: httpx.AsyncClient, event: Event, overtaken: bool = False) -> Failure | None:
        """Make the requests of this type of event until one of them has told it; None when it is told."""
        values = {**event.payload, "id": str(event.id), "settings": self.settings}
        every = self.mapping.events[event.type]
        steps = [step for step in every if (step.when is None and not overtaken) or _at(values, step.when or "")]
        for step in steps:
            for one in self._each(step, values):
                verdict = await self._made(client, step, one)
                if isinstance(verdict, Failure):
                    return verdict
                if verdict == "told" and step.each is None:
                    return None
        all_made = overtaken or any(step.each is not None for step in steps)
        return Failure("no request told it") if steps and not all_made else None

    def _each(self, step: Step, values: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The values of each request that this step is."""
        if step.each is None:
            return [values]
        every = _at(values, step.each.in_) or ()
        return [{**values, "each": one} for one in every if str(one).startswith(step.each.like)]

    async def _made(
        self, client: httpx.AsyncClient, step: Step, values: Mapping[str, Any]
    ) -> Literal["next", "told"] | Failure:
        """Make this request; whether it told the event."""
        answer = await self._answer(client, step, values)
        if isinstance(answer, Failure):
            return answer
        response, content = answer
        verdict = step.answers.get(response.status_code)
        if verdict is not None:
            return verdict
        return outcome(response) or ("told" if self._is_told(step, content, values) else "next")

    def _is_told(self, step: Step, content: bytes, values: Mapping[str, Any]) -> bool:
        if step.found is None:
            return True
        wanted = self._fill(step.found.is_, values)
        return any(_at(entry, step.found.at) == wanted for entry in _at(json.loads(content), step.found.in_))

    async def _answer(
        self, client: httpx.AsyncClient, step: Step, values: Mapping[str, Any]
    ) -> tuple[httpx.Response, bytes] | Failure:
        """What a step is answered; a login that ran out is renewed once. A login that fails is the failure."""
        failure = await self._log_in(client, values)
        if failure is not None:
            return failure
        path = self._fill(step.path, values, quoted=True)
        content = None if step.body is None else body(self._fill(step.body, values))
        read = step.found is not None
        answer = await self._send(client, step.method, path, content, read)
        if answer[0].status_code != 401 or isinstance(self.mapping.authorization, str):
            return answer
        self._authorization = None
        return await self._log_in(client, values) or await self._send(client, step.method, path, content, read)

    async def _log_in(self, client: httpx.AsyncClient, values: Mapping[str, Any]) -> Failure | None:
        """Have an Authorization header to send."""
        login = self.mapping.authorization
        if self._authorization is not None:
            return None
        if isinstance(login, str):
            self._authorization = self._fill(login, values)
            return None
        answer, _ = await self._send(client, "POST", login.path, body(self._fill(login.body, values)))
        failure = outcome(answer)
        if failure is not None:
            return Failure(f"login: {failure.why}", failure.retry_after)
        self._authorization = answer.headers.get("authorization")
        return None if self._authorization else Failure("login: no token")

    async def _send(
        self, client: httpx.AsyncClient, method: str, path: str, content: bytes | None, read: bool = False
    ) -> tuple[httpx.Response, bytes]:
        headers = {"accept": "application/json", "user-agent": "rafiq"}
        if self._authorization is not None:
            headers["authorization"] = self._authorization
        if content is not None:
            headers["content-type"] = "application/json"
        received = bytearray()
        async with client.stream(method, self.url + path, content=content, headers=headers) as response:
            if read and response.is_success:
                async for chunk in response.aiter_bytes():
                    received += chunk
                    if len(received) > LARGEST:
                        raise ValueError("the answer is too long")
        return response, bytes(received)

    def _fill(self, template: Any, values: Mapping[str, Any], quoted: bool = False) -> Any:
        """The template with its placeholders' values; one that is the whole text keeps its kind."""
        if isinstance(template, dict):
            return {name: self._fill(inner, values) for name, inner in template.items()}
        if isinstance(template, list):
            return [self._fill(inner, values) for inner in template]
        if not isinstance(template, str):
            return template
        whole = _PLACEHOLDER.fullmatch(template)
        if whole is not None:
            return self._value(whole, values)

        def written(match: re.Match[str]) -> str:
            value = str(self._value(match, values))
            return quote(value, safe="") if quoted else value

        return _PLACEHOLDER.sub(written, template)

    def _value(self, match: re.Match[str], values: Mapping[str, Any]) -> Any:
        value = _at(values, match[1])
        for name in match[2].split("|")[1:]:
            if name in FILTERS:
                value = FILTERS[name](value)
            elif isinstance(value, list):
                value = [self.mapping.words[name][one] for one in value if one in self.mapping.words[name]]
            else:
                value = self.mapping.words[name].get(value)
        return value


def backend(settings: Settings) -> Backend:
    """What the settings say takes our events. Raises `SettingsError` when its mapping cannot be used."""
    if settings.case_system == "webhook":
        return Webhook(settings.case_url, settings.case_secrets)
    mapping = SystemMapping.load(settings.case_mapping or MAPPINGS / f"{settings.case_system}.yml")
    given = dict(settings.case_system_values)
    if settings.case_system_user is not None:
        given["user"] = settings.case_system_user
    if settings.case_system_secret is not None:
        given["secret"] = settings.case_system_secret.get_secret_value()
    for name in sorted(mapping.settings() - given.keys()):
        own = name in ("user", "secret")
        said = f"CASE_SYSTEM_{name.upper()} is missing" if own else f"CASE_SYSTEM_VALUES is missing {name}=…"
        raise SettingsError(f"{said}: CASE_SYSTEM={settings.case_system} needs it. See .env.example")
    return System(mapping, settings.case_url, given)


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _has(schema: Any, path: str) -> bool:
    """Whether an event of this schema has a value there (its id and the settings always do)."""
    if path == "id" or path.startswith("settings."):
        return True
    for name in path.split("."):
        schema = schema.get("properties", {}).get(name)
        if schema is None:
            return False
    return True


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value
