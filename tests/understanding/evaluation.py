"""How well the assistant understands messages it has never seen: `make evaluate`, and the gate of the tests.

The development set (`dev/*.tsv`: label, style, text; `cues.dev.tsv`; `../assistant/values.dev.jsonl`) was written
by other hands than the training data and is never trained on.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from bot import settings as configuration
from bot import supervisor
from bot.assistant.language import LanguageModel
from bot.assistant.rasa import Rasa, Understanding
from bot.assistant.triage import Triage
from bot.assistant.values.command import read_value
from bot.messages import LANGUAGES
from bot.settings import ROOT
from bot.training import Models

FOLDER = Path(__file__).parent
REPORT = ROOT / "docs" / "understanding.md"
PRECISION = 0.95  # of the ladder's first rung

# what must hold: top-1 in standard writing, top-1 in every other, top-3, out of scope refused
GOALS = {"fr": (0.92, 0.85, 0.96, 0.85), "en": (0.92, 0.85, 0.96, 0.85), "ar": (0.90, 0.80, 0.94, 0.85)}


@dataclass
class Result:
    """Shares between 0 and 1 unless a name says otherwise."""

    top1: dict[str, dict[str, float]] = field(default_factory=dict)  # language → style → share
    top3: dict[str, float] = field(default_factory=dict)
    refused: dict[str, float] = field(default_factory=dict)
    confused: list[tuple[str, str, int]] = field(default_factory=list)
    coverage: float = 0.0  # of messages answered at once, at the precision of the ladder's first rung
    language: dict[str, float] = field(default_factory=dict)  # of messages of three words or more
    cues: dict[str, float] = field(default_factory=dict)  # recall
    named: float = 0.0  # of the cues that were noticed, those with the right name
    false_alarms: float = 0.0  # of harmless messages that only look like a cue
    ordinary_alarms: float = 0.0  # of the messages that the labels are measured on
    values: dict[str, float] = field(default_factory=dict)
    milliseconds: tuple[float, float] = (0.0, 0.0)  # one message: median, 95th percentile
    megabytes: float = 0.0  # of Rasa's process


def messages() -> list[tuple[str, str, str, str]]:
    """The development set: language, label, style, text."""
    return [
        (language, *line.split("\t"))  # type: ignore[misc]
        for language in LANGUAGES
        for line in (FOLDER / "dev" / f"{language}.tsv").read_text(encoding="utf-8").splitlines()
    ]


async def measure(rasa: Rasa, models: Models, process: psutil.Process | None = None, step: int = 1) -> Result:
    """Measure everything on a running Rasa, on every message or on each `step`th."""
    result = Result()
    rows = messages()[::step]
    understood: list[Understanding] = []
    for start in range(0, len(rows), 64):
        understood += await rasa.understand([row[3] for row in rows[start : start + 64]])
    _labels(result, rows, understood)
    languages = LanguageModel.load(models.language)
    right = defaultdict(list)
    for language, _, style, text in rows:
        if len(text.split()) >= 3:
            guess = languages.guess(text)
            right["mixed" if style == "mixed" else language].append(guess is not None and guess.language == language)
    result.language = {name: _share(marks) for name, marks in right.items()}
    _cues(result, Triage.load(models.cues), rows, step)
    kinds = defaultdict(list)
    for line in (ROOT / "tests" / "assistant" / "values.dev.jsonl").read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        kinds[case["kind"]].append(read_value(case)["value"] == case["value"])
    result.values = {kind: _share(marks) for kind, marks in kinds.items()}
    times = []
    for row in rows[:: len(rows) // 100]:
        began = time.perf_counter()
        await rasa.understand([row[3]])
        times.append((time.perf_counter() - began) * 1000)
    result.milliseconds = (sorted(times)[len(times) // 2], sorted(times)[int(len(times) * 0.95)])
    if process is not None:
        result.megabytes = process.memory_info().rss / 1e6
    return result


def _labels(result: Result, rows: Sequence[tuple[str, str, str, str]], understood: Sequence[Understanding]) -> None:
    first, third, refused = defaultdict(list), defaultdict(list), defaultdict(list)
    wrong: Counter[tuple[str, str]] = Counter()
    sure: list[tuple[float, bool]] = []
    for (language, label, style, _), meant in zip(rows, understood, strict=True):
        ranking = [name for name, _ in meant.ranking]
        right = ranking[0] == label
        first[language, style].append(right)
        third[language].append(label in ranking[:3])
        if label == "out_of_scope":
            refused[language].append(right)
        if not right:
            wrong[label, ranking[0]] += 1
        sure.append((meant.ranking[0][1], right))
    for (language, style), marks in first.items():
        result.top1.setdefault(language, {})[style] = _share(marks)
    for language in LANGUAGES:
        other = [
            mark
            for (lang, style), marks in first.items()
            for mark in marks
            if (lang, style != "standard") == (language, True)
        ]
        result.top1[language]["every other"] = _share(other)
    result.top3 = {language: _share(marks) for language, marks in third.items()}
    result.refused = {language: _share(marks) for language, marks in refused.items()}
    result.confused = [(meant, taken, n) for (meant, taken), n in wrong.most_common(20)]
    answered = good = 0
    for number, (_, right) in enumerate(sorted(sure, reverse=True), 1):
        good += right
        if good / number >= PRECISION:
            answered = number
    result.coverage = answered / len(sure)


def _cues(result: Result, triage: Triage, ordinary: Sequence[tuple[str, str, str, str]], step: int) -> None:
    noticed, named, alarms = defaultdict(list), [], []
    for line in (FOLDER / "cues.dev.tsv").read_text(encoding="utf-8").splitlines()[::step]:
        _, cue, _, text = line.split("\t")
        found = triage.read(text)
        if cue == "none":
            alarms.append(found is not None)
            continue
        noticed[cue].append(found is not None)
        noticed["P0" if triage.priority(cue) == "P0" else "P1"].append(found is not None)
        if found is not None:
            named.append(found.name == cue)
    result.cues = {cue: _share(marks) for cue, marks in noticed.items()}
    result.cues["all"] = _share(noticed["P0"] + noticed["P1"])
    result.named = _share(named)
    result.false_alarms = _share(alarms)
    result.ordinary_alarms = _share([triage.read(text) is not None for *_, text in ordinary[::4]])


def _share(marks: Sequence[bool]) -> float:
    return sum(marks) / len(marks) if marks else 0.0


def report(result: Result) -> str:
    """The figures as the page docs/understanding.md."""
    lines = [
        "# Understanding, measured",
        "",
        f"`make evaluate`, {datetime.now(UTC):%Y-%m-%d}, on {len(messages())} messages that were never trained on.",
        "",
        "| | fr | en | ar |",
        "|---|---|---|---|",
    ]
    styles = sorted({style for by_style in result.top1.values() for style in by_style} - {"standard", "every other"})
    for style in ["standard", "every other", *styles]:
        lines.append(_row(f"top-1, {style}", [result.top1[language].get(style) for language in LANGUAGES]))
    lines.append(_row("top-3", [result.top3[language] for language in LANGUAGES]))
    lines.append(_row("out of scope refused", [result.refused[language] for language in LANGUAGES]))
    lines.append(_row("language of three words or more", [result.language[language] for language in LANGUAGES]))
    lines += ["", f"Answered at once at {PRECISION:.0%} precision: {result.coverage:.1%} of the messages.", ""]
    lines += [
        f"Language of messages in two languages: {result.language['mixed']:.1%} are taken for the one they are filed under.",
        "",
    ]
    lines += [
        "| safety cue | noticed |",
        "|---|---|",
        *_table(result.cues),
        "",
        f"Named rightly: {result.named:.1%} of those noticed. False alarms: {result.false_alarms:.1%} of harmless messages "
        f"that only look like a cue, {result.ordinary_alarms:.1%} of ordinary messages.",
        "",
    ]
    lines += ["| value reader | right |", "|---|---|", *_table(result.values), ""]
    lines += [
        f"One message: median {result.milliseconds[0]:.0f} ms, 95th percentile {result.milliseconds[1]:.0f} ms. Rasa's process: {result.megabytes:.0f} MB.",
        "",
    ]
    lines += [
        "Most confused (meant, taken for, times):",
        "",
        *[f"- {meant} → {taken} ({n})" for meant, taken, n in result.confused],
        "",
    ]
    return "\n".join(lines)


def _row(name: str, shares: Iterable[float | None]) -> str:
    return f"| {name} | " + " | ".join("" if share is None else f"{share:.1%}" for share in shares) + " |"


def _table(shares: Mapping[str, float]) -> list[str]:
    return [f"| {name} | {share:.1%} |" for name, share in shares.items()]


async def main() -> None:
    """Start Rasa, measure, print, write the page."""
    settings = configuration.load()
    async with supervisor.own_stack(settings, lambda line: None, ("rasa",)) as stack:
        rasa = Rasa(stack.settings.rasa_url, settings.local_token, 120)
        process: Any = stack.children[0].process
        page = report(await measure(rasa, Models.of(settings), psutil.Process(process.pid)))
        await rasa.close()
    REPORT.write_text(page, encoding="utf-8")
    print(page)  # noqa: T201 (what the command is for)


if __name__ == "__main__":
    asyncio.run(main())
