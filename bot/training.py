"""Training, with its progress shown: the language model, the safety triage, Rasa's model."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from bot.assistant.language import LanguageModel
from bot.messages import LANGUAGES, Language
from bot.settings import ROOT

RASA_PYTHON = ROOT / ".venv-rasa" / "bin" / "python"
_STEP = re.compile(r"(Starting|Finished) (?:to train|training) component '(\w+)'")


def train(model: Path, say: Callable[[str], None]) -> None:
    """Train everything into the folder of `model` (a path that ends in .tar.gz)."""
    began = time.monotonic()
    model.parent.mkdir(parents=True, exist_ok=True)
    say("training: languages")
    LanguageModel.train(examples()).save(model.with_name("language.json"))
    say("training: safety triage")
    _run([str(RASA_PYTHON), "-m", "nlu.train_cues", "--out", str(model.with_name("cues.json"))], say)
    say("training: understanding (a few minutes, once)")
    command = [
        str(RASA_PYTHON), "-m", "bot.rasa", "train",
        "--domain", "domain.yml", "--config", "config.yml",
        "--data", "nlu/fr", "nlu/en", "nlu/ar", "flows",
        "--out", str(model.parent), "--fixed-model-name", model.name.removesuffix(".tar.gz"),
    ]  # fmt: skip
    _run(command, say)
    say(f"trained in {time.monotonic() - began:.0f} s")


def examples() -> Iterator[tuple[Language, str]]:
    """Every example message of nlu/ with its language."""
    for language in LANGUAGES:
        for file in sorted((ROOT / "nlu" / language).glob("*.yml")):
            for block in yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)["nlu"]:
                for line in block["examples"].splitlines():
                    yield language, line.removeprefix("- ")


def _run(command: list[str], say: Callable[[str], None]) -> None:
    environment = {
        **os.environ,
        "RASA_TELEMETRY_ENABLED": "false",
        "PYTHONUNBUFFERED": "1",
        "TQDM_DISABLE": "1",
    }
    process = subprocess.Popen(  # noqa: S603 (our own command)
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None  # noqa: S101 (asked for above)
    tail: list[str] = []
    for line in process.stdout:
        tail = [*tail[-30:], line.rstrip()]
        step = _STEP.search(line)
        if step:
            say(f"training: {step[2]} {'…' if step[1] == 'Starting' else 'done'}")
    if process.wait() != 0:
        raise RuntimeError("training failed:\n" + "\n".join(tail))
