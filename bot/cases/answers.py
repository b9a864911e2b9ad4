"""What the case backend may answer: signed as our own events are, closed by schema (docs/case-events/answers/).

`python -m bot.cases.answers` prints the OpenAPI document of the address that takes them.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from bot.cases.events import SCHEMAS

SCHEMA = "rafiq-case-answer/1"
TYPES = ("request.acknowledged", "interview.proposed", "case.closed", "message.to_person", "return.recorded")
FOLDER = SCHEMAS / "answers"
PATH = "/cases/answers"
LARGEST = 64 * 1024  # bytes of a body


class Wrong(Exception):
    """An answer that is none: `status` to refuse it with, `at` where in it (dots between), and why."""

    def __init__(self, status: int, why: str, at: str = "") -> None:
        super().__init__(why)
        self.status, self.why, self.at = status, why, at


@dataclass(frozen=True, slots=True)
class Answer:
    """What the case backend says about one reference."""

    type: str
    ref: str
    occurred_at: datetime
    data: dict[str, Any]


def read(body: bytes) -> Answer:
    """The answer in these bytes. Raises `Wrong`."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Wrong(400, "the body is no JSON") from None
    if not isinstance(value, dict):
        raise Wrong(422, "the body is no object")
    if value.get("type") not in TYPES:
        raise Wrong(422, f"it must be one of {', '.join(TYPES)}", "type")
    error = best_match(_validator(value["type"]).iter_errors(value))
    if error is not None:
        at = ".".join(str(part) for part in error.absolute_path)
        # what was sent is not repeated: it may be what somebody wrote
        said = error.message if error.validator == "required" else f"{error.validator}: {error.validator_value}"
        raise Wrong(422, "a property too many" if error.validator == "additionalProperties" else said[:300], at)
    data = dict(value["data"])
    if "at" in data:
        data["at"] = _moment(data["at"], "data.at").isoformat()
    if "text" in data:
        data["text"] = _readable(data["text"])
    return Answer(value["type"], data["ref"], _moment(value["occurred_at"], "occurred_at"), data)


def _moment(value: str, at: str) -> datetime:
    try:
        return datetime.fromisoformat(value.strip())
    except ValueError:
        raise Wrong(422, "there is no such time", at) from None


def _readable(words: str) -> str:
    """The text without what no channel takes: control characters, and halves of characters."""
    kept = "".join(one for one in words if one == "\n" or unicodedata.category(one) not in ("Cc", "Cs")).strip()
    if not kept:
        raise Wrong(422, "there is nothing to read in it", "data.text")
    return kept


def schema(type_: str) -> dict[str, Any]:
    """The JSON Schema of this type of answer."""
    content: dict[str, Any] = json.loads((FOLDER / f"{type_}.json").read_text(encoding="utf-8"))
    return content


@cache
def _validator(type_: str) -> Draft202012Validator:
    return Draft202012Validator(schema(type_))


def openapi() -> dict[str, Any]:
    """The address that takes answers, as an OpenAPI document that stands alone."""
    headers = {
        "webhook-id": ("The answer's id, the same at every attempt.", "^[A-Za-z0-9_-]{1,128}$"),
        "webhook-timestamp": ("Seconds since 1970, of this attempt; five minutes from ours at most.", "^[0-9]{1,12}$"),
        "webhook-signature": (
            "`v1,<base64>` of HMAC-SHA256 over `<id>.<timestamp>.<raw body>`; several, separated by spaces.",
            "^v1,[A-Za-z0-9+/=]+( v1a?,[A-Za-z0-9+/=]+)*$",
        ),
    }
    schemas = {type_: schema(type_) for type_ in TYPES}
    error = {
        "type": "object",
        "additionalProperties": False,
        "required": ["error"],
        "properties": {
            "error": {"type": "string", "description": "What is wrong."},
            "at": {"type": "string", "description": "Where in the body, with dots between the names."},
        },
    }
    refused = {"application/json": {"schema": error}}
    told = {
        "type": "object",
        "additionalProperties": False,
        "required": ["told"],
        "properties": {
            "told": {
                "type": "boolean",
                "description": "Whether a message to the person is on its way. False when there was nothing new to "
                "say, when they want no messages that they did not ask for, or when they cannot be reached.",
            }
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Rafiq: answers of the case backend",
            "version": SCHEMA,
            "description": "Standard Webhooks towards Rafiq. docs/case-events/answers/README.md says what each does.",
        },
        "paths": {
            PATH: {
                "post": {
                    "operationId": "answer",
                    "summary": "Answer about a reference",
                    "parameters": [
                        {
                            "name": name,
                            "in": "header",
                            "required": True,
                            "description": description,
                            "schema": {"type": "string", "pattern": pattern},
                        }
                        for name, (description, pattern) in headers.items()
                    ],
                    "requestBody": {
                        "required": True,
                        "content": {
                            "application/json": {
                                "schema": {"oneOf": [{"$ref": f"#/components/schemas/{type_}"} for type_ in TYPES]}
                            }
                        },
                    },
                    "responses": {
                        "200": {
                            "description": "It is written down, now or by an earlier attempt with this id.",
                            "content": {"application/json": {"schema": told}},
                        },
                        "400": {"description": "The body is no JSON.", "content": refused},
                        "401": {"description": "No secret of ours signed this, or not just now. Nothing is said."},
                        "404": {
                            "description": "No such reference: it never was, was withdrawn, or its person erased it.",
                            "content": refused,
                        },
                        "413": {"description": f"More than {LARGEST} bytes."},
                        "422": {"description": "The body is not what its schema says.", "content": refused},
                        "503": {"description": "It could not be written down: send it again."},
                    },
                }
            }
        },
        "components": {
            "schemas": {
                type_: {name: value for name, value in content.items() if not name.startswith("$")}
                for type_, content in schemas.items()
            }
        },
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(openapi(), indent=2, ensure_ascii=False) + "\n")
