"""What is learnt from the examples: which languages, which safety cues, which labels. Trained when it changed."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

from bot.assistant.language import LanguageModel
from bot.messages import LANGUAGES, Language
from bot.settings import ROOT, Settings

RASA_PYTHON = ROOT / ".venv-rasa" / "bin" / "python"
KEPT = 2  # models of earlier examples, to go back quickly
EXAMPLES = ("nlu/*/questions.yml", "nlu/*/intents.yml", "nlu/*/out_of_scope.yml", "nlu/normalise.py")
_STEP = re.compile(r"(Starting|Finished) (?:to train|training) component '(\w+)'")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Models:
    """The files of what is learnt now; each is named after a hash of what it is made from."""

    rasa: Path
    language: Path
    cues: Path

    @classmethod
    def of(cls, settings: Settings) -> Models:
        """The models of this checkout, trained or not."""
        folder = settings.rafiq_var / "models"
        rasa = fingerprint(
            "config.yml", "domain.yml", "flows/*.yml", "nlu/components/*.py", "nlu/e5.py", "nlu/encoder.py",
            "knowledge/topics.yml", "requirements/rasa.txt", *EXAMPLES,
        )  # fmt: skip
        language = fingerprint("bot/assistant/language.py", *EXAMPLES)
        cues = fingerprint(
            "nlu/train_cues.py",
            "nlu/cue_rules.yml",
            "nlu/e5.py",
            "nlu/encoder.py",
            "bot/assistant/triage.py",
            "nlu/*/cues.tsv",
            *EXAMPLES,
        )
        return cls(folder / f"rasa-{rasa}.tar.gz", folder / f"language-{language}.json", folder / f"cues-{cues}.npz")

    def trained(self) -> bool:
        """Whether all of them are there."""
        return self.rasa.exists() and self.language.exists() and self.cues.exists()


def fingerprint(*patterns: str) -> str:
    """A short hash of the files that match."""
    digest = hashlib.sha256()
    for file in sorted({file for pattern in patterns for file in ROOT.glob(pattern)}):
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def train(models: Models, say: Say, force: bool = False) -> None:
    """Train what is missing, or everything. Raises `RuntimeError` with the end of the output."""
    began = time.monotonic()
    folder = models.rasa.parent
    folder.mkdir(parents=True, exist_ok=True)
    vectors = str(folder / "vectors.npz")
    commands: list[list[str]] = []
    if force or not models.cues.exists():
        commands.append([str(RASA_PYTHON), "-m", "nlu.train_cues", "--out", str(models.cues)])
    if force or not models.rasa.exists():
        commands.append([
            str(RASA_PYTHON), "-m", "bot.rasa", "train",
            "--domain", "domain.yml", "--config", "config.yml",
            "--data", "nlu/fr", "nlu/en", "nlu/ar", "flows",
            "--out", str(folder), "--fixed-model-name", models.rasa.name.removesuffix(".tar.gz"),
        ])  # fmt: skip
    if commands:
        say("training: vectors of the examples (a few minutes, once)")
        _run([str(RASA_PYTHON), "-m", "nlu.encode_examples"], say, RAFIQ_VECTORS=vectors)
        say("training: safety triage and understanding")
    with ThreadPoolExecutor(2) as pool:  # each works on one core most of its time
        running = [pool.submit(_run, command, say, RAFIQ_VECTORS=vectors) for command in commands]
        if force or not models.language.exists():
            say("training: languages")
            LanguageModel.train(examples()).save(models.language)
        for one in running:
            one.result()
    for kind in ("rasa-*.tar.gz", "language-*.json", "cues-*.npz"):
        for old in sorted(folder.glob(kind), key=os.path.getmtime)[: -KEPT - 1]:
            old.unlink()
    say(f"trained in {time.monotonic() - began:.0f} s")


def examples() -> Iterator[tuple[Language, str]]:
    """Every example message of nlu/ with its language."""
    for language in LANGUAGES:
        for file in sorted((ROOT / "nlu" / language).glob("*.yml")):
            for block in yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)["nlu"]:
                for line in block["examples"].splitlines():
                    yield language, line.removeprefix("- ")


def _run(command: list[str], say: Say, **given: str) -> None:
    environment = {
        **given,
        **os.environ,
        "RASA_TELEMETRY_ENABLED": "false",
        "PYTHONUNBUFFERED": "1",
        "TQDM_DISABLE": "1",
    }
    tail: list[str] = []
    with subprocess.Popen(  # noqa: S603 (our own command)
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            tail = [*tail[-80:], line.rstrip()]
            step = _STEP.search(line)
            if step:
                say(f"training: {step[2]} {'…' if step[1] == 'Starting' else 'done'}")
    if process.returncode != 0:
        raise RuntimeError("training failed:\n" + "\n".join(tail))
