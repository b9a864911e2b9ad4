"""Imported once by the process that the services of these tests are forked from: what each would load is loaded."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import bot.web as _  # noqa: F401 (and everything behind it)
from bot.assistant.language import LanguageModel
from bot.assistant.triage import RULES, Triage
from bot.settings import Settings
from bot.training import Models
from nlu.encoder import encode

_language = cache(LanguageModel.load)
_triage = cache(Triage.load)


def language(path: Path) -> LanguageModel:
    """As `LanguageModel.load`, once for a file."""
    return _language(path.resolve())


def triage(weights: Path, rules: Path = RULES) -> Triage:
    """As `Triage.load`, once for a file."""
    return _triage(weights.resolve(), rules)


models = Models.of(Settings(_env_file=None))
if models.trained():
    LanguageModel.load = language  # type: ignore[method-assign]
    Triage.load = triage  # type: ignore[method-assign]
    language(models.language)
    triage(models.cues)
    encode("")
