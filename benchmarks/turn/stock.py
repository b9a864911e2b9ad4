"""Stock Rasa 3.6.21: its recipe's default pipeline with DIET, its REST channel, its SQL tracker store.

It speaks the same dialogue: the examples of nlu/ as they are, the rules of flows/ and the form of domain.yml
translated into what Rasa does without a service behind it. A topic is an intent with a reply of its own, every
reply is plain text, a choice is a button with an `/answer{...}` payload.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import itertools
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import yaml

from benchmarks.turn.load import Answer, Connection
from bot import i18n
from bot.assistant import forms, knowledge
from bot.messages import LANGUAGES, Language
from bot.settings import PREFIXES, ROOT
from bot.supervisor import free_port
from bot.training import EXAMPLES

PYTHON = ROOT / ".venv-rasa-stock" / "bin" / "python"
MODELS = ROOT / "var" / "benchmarks"
DATABASE = "stock"
EPOCHS = 10  # DIET's default is 300: hours on two cores. It changes what is understood, not how long that takes
FORM = "first_contact_form"
_people = itertools.count(1)


class Person:
    """Somebody behind Rasa's REST channel: the answer is the reply to the request."""

    def __init__(self, port: int) -> None:
        self._sender = f"person-{next(_people)}"
        self._connection = Connection(port)

    async def say(self, words: str) -> Answer:
        """Write a message."""
        body = json.dumps({"sender": self._sender, "message": words}).encode()
        said = json.loads(await self._connection.post("/webhooks/rest/webhook", body))
        arrived = time.perf_counter()
        buttons = [button["payload"] for message in said for button in message.get("buttons", ())]
        return Answer(arrived, "\n\n".join(message.get("text", "") for message in said), buttons)

    async def press(self, button: str) -> Answer:
        """A payload is sent like a text."""
        return await self.say(button)

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()


class Stock:
    """A running stock Rasa."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid = pid
        self._port = port

    def begin(self, language: Language) -> Person:
        """Somebody new."""
        return Person(self._port)


@asynccontextmanager
async def running(model: Path, database_url: str, folder: Path) -> AsyncIterator[Stock]:
    """Stock Rasa on a database of its own in this server; stopped afterwards."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")
        host, user = connection.info.host, connection.info.user
    store = {"type": "sql", "dialect": "postgresql", "db": DATABASE, "username": user, "query": {"host": host}}
    _write(folder / "endpoints.yml", {"tracker_store": store})
    _write(folder / "credentials.yml", {"rest": None})
    port = free_port()
    command = [
        str(PYTHON), "-m", "rasa", "run", "--model", str(model), "--endpoints", "endpoints.yml",
        "--credentials", "credentials.yml", "--interface", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    with (folder / "rasa.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, env=_environment(), cwd=folder, stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL
        )
    try:
        if not await _answers(f"http://127.0.0.1:{port}/", process):
            raise SystemExit("stock Rasa does not start:\n" + (folder / "rasa.log").read_text()[-3000:])
        yield Stock(process.pid, port)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _answers(url: str, process: asyncio.subprocess.Process) -> bool:
    """Wait until the server answers; False when it ended or takes too long."""
    deadline = time.monotonic() + 180
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        while process.returncode is None and time.monotonic() < deadline:
            try:
                if (await client.get(url)).status_code == 200:
                    return True
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.2)
    return False


def _environment() -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIXES)}
    return {
        **inherited,
        "RASA_TELEMETRY_ENABLED": "false",
        "RASA_CACHE_DIRECTORY": str(MODELS / "cache"),  # a change of texts or rules does not train DIET again
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TQDM_DISABLE": "1",
    }


def trained(folder: Path) -> Path:
    """The trained model, its sources in this folder; kept under var/benchmarks/ until what it is made from changes."""
    subprocess.run(["scripts/setup-stock"], cwd=ROOT, check=True)
    _write(folder / "config.yml", config())
    _write(folder / "domain.yml", domain())
    _write(folder / "rules.yml", {"version": "3.1", "rules": list(rules())})
    digest = hashlib.sha256()
    examples = [file for pattern in EXAMPLES if pattern.endswith(".yml") for file in sorted(ROOT.glob(pattern))]
    for file in [*examples, *(folder / name for name in ("config.yml", "domain.yml", "rules.yml"))]:
        digest.update(file.read_bytes())
    model = MODELS / f"stock-{digest.hexdigest()[:16]}.tar.gz"
    if not model.exists():
        print(f"training stock Rasa, {EPOCHS} epochs (minutes, once)", flush=True)
        began = time.monotonic()
        command = [
            str(PYTHON), "-m", "rasa", "train", "--domain", "domain.yml", "--config", "config.yml",
            "--data", "rules.yml", *(str(ROOT / "nlu" / language) for language in LANGUAGES),
            "--out", str(MODELS), "--fixed-model-name", model.name.removesuffix(".tar.gz"),
        ]  # fmt: skip
        with (folder / "train.log").open("wb") as log:
            trained = subprocess.run(command, cwd=folder, env=_environment(), stdout=log, stderr=log, check=False)
        if trained.returncode != 0:
            raise SystemExit("stock Rasa does not train:\n" + (folder / "train.log").read_text()[-3000:])
        for old in set(MODELS.glob("stock-*.tar.gz")) - {model}:
            old.unlink()
        print(f"trained in {time.monotonic() - began:.0f} s", flush=True)
    return model


def config() -> dict[str, Any]:
    """The pipeline that Rasa proposes, with our thresholds."""
    ours = yaml.safe_load((ROOT / "config.yml").read_text(encoding="utf-8"))
    return {
        "recipe": "default.v1",
        "language": ours["language"],
        "assistant_id": "stock",
        "pipeline": [
            {"name": "WhitespaceTokenizer"},
            {"name": "RegexFeaturizer"},
            {"name": "LexicalSyntacticFeaturizer"},
            {"name": "CountVectorsFeaturizer"},
            {"name": "CountVectorsFeaturizer", "analyzer": "char_wb", "min_ngram": 1, "max_ngram": 4},
            {
                "name": "DIETClassifier",
                "epochs": EPOCHS,
                "constrain_similarities": True,
                "entity_recognition": False,
            },
            next(part for part in ours["pipeline"] if part["name"] == "FallbackClassifier"),
        ],
        "policies": ours["policies"],
    }


def domain() -> dict[str, Any]:
    """domain.yml without a service: topics are intents, choices are payloads, texts are here."""
    ours = yaml.safe_load((ROOT / "domain.yml").read_text(encoding="utf-8"))
    intents = [next(iter(intent)) if isinstance(intent, dict) else intent for intent in ours["intents"]]
    steps = [step for step in forms.forms()[FORM] if step.when is None and step.unless is None]
    digressions = [*sorted(forms.COMMANDS), "answer", "change_answer", "leave_form"]
    responses = {
        name: [{"text": _words(variants[0]["custom"])}]
        for name, variants in ours["responses"].items()
        if not name.startswith("utter_ask_")
    }
    responses |= {f"utter_{topic}": [{"text": knowledge.answer(topic, "fr")}] for topic in knowledge.topics()}
    responses |= {f"utter_ask_{FORM}_{step.slot}": [_question(step)] for step in steps}
    return {
        "version": "3.1",
        "intents": [*(intent for intent in intents if intent != "question"), *knowledge.topics()],
        "entities": [step.slot for step in steps],
        "slots": {step.slot: _slot(step, digressions) for step in steps},
        "forms": {FORM: {"required_slots": [step.slot for step in steps]}},
        "responses": responses,
    }


def _slot(step: forms.Step, digressions: list[str]) -> dict[str, Any]:
    mappings: list[dict[str, Any]] = [{"type": "from_entity", "entity": step.slot}]
    if step.answer in ("text", "phone"):
        here = [{"active_loop": FORM, "requested_slot": step.slot}]
        mappings.append({"type": "from_text", "not_intent": digressions, "conditions": here})
    return {"type": "any", "influence_conversation": False, "mappings": mappings}


def _question(step: forms.Step) -> dict[str, Any]:
    text = i18n.catalog("fr").gettext(step.say).replace("{", "(").replace("}", ")")
    buttons = [
        {
            "title": i18n.say(step.choice_text(choice), "fr"),
            "payload": f"/answer{{{json.dumps({step.slot: choice})}}}",  # single braces would be a placeholder
        }
        for choice in step.choices
    ]
    return {"text": text, "buttons": buttons} if buttons else {"text": text}


def _words(custom: Mapping[str, Any]) -> str:
    """A text of about the length that Rafiq says here."""
    text_id = custom.get("say") or custom["do"]
    text_id = {"handoff": "handoff.asked"}.get(text_id, text_id)
    return i18n.catalog("fr").gettext(text_id).replace("{", "(").replace("}", ")")


def rules() -> Iterator[dict[str, Any]]:
    """The rules of flows/; one about `question` becomes one for each topic."""
    for file in sorted((ROOT / "flows").glob("*.yml")):
        for rule in yaml.safe_load(file.read_text(encoding="utf-8"))["rules"]:
            if not any(step.get("intent") == "question" for step in rule["steps"]):
                yield rule
                continue
            for topic in knowledge.topics():
                about = copy.deepcopy(rule)
                about["rule"] = f"{rule['rule']}: {topic}"
                for step in about["steps"]:
                    if step.get("intent") == "question":
                        step["intent"] = topic
                    if step.get("action") == "utter_answer":
                        step["action"] = f"utter_{topic}"
                yield about


def _write(file: Path, content: object) -> None:
    file.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")
