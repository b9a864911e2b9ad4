"""The fact sheets against the programme's own documents, where those are: they are not ours to copy."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.settings import ROOT

SEEDS = ROOT.parent / "shared" / "seeds"
# the two general IOM sheets are from public pages that are not among the documents given to us
SHEETS = sorted((ROOT / "knowledge" / "facts").glob("*.yml"))
_TOKEN = re.compile(r"\w+")

pytestmark = pytest.mark.skipif(not SEEDS.is_dir(), reason="the programme's documents are not here")


def folded(text: str) -> str:
    """Lower case without accents, marks and spaces between digits."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))
    return re.sub(r"(?<=\d)[\s.,()-]+(?=\d)", "", plain)


def document(sheet: Path) -> str | None:
    """The document's file, where we have it."""
    found: str | None = yaml.safe_load(sheet.read_text(encoding="utf-8"))["file"]
    return found


def facts(sheet: Path) -> list[dict[str, Any]]:
    """The facts of a sheet."""
    found: list[dict[str, Any]] = yaml.safe_load(sheet.read_text(encoding="utf-8"))["facts"]
    return found


@pytest.mark.parametrize("sheet", [sheet for sheet in SHEETS if document(sheet)], ids=lambda sheet: sheet.stem)
def test_every_fact_stands_where_its_sheet_says(sheet: Path) -> None:
    """Every word and figure of a fact's value stands in its document, at the line that the sheet names."""
    lines = (SEEDS / str(document(sheet))).read_text(encoding="utf-8").splitlines()
    lost = []
    for fact in facts(sheet):
        if "(counted:" in fact["about"]:
            continue  # how many paragraphs there are: the sheet says from which line to which
        line = int(fact["line"])
        there = set(_TOKEN.findall(folded(" ".join(lines[line - 1 : line + 1]))))
        words = _TOKEN.findall(folded(str(fact["value"])))
        if not words or not all(word in there for word in words):
            lost.append((fact["value"], line, [word for word in words if word not in there]))
    assert lost == []
