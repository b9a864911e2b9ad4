"""What `rafiq understand` does: lines in, their meaning out. The same parts as in a conversation, without one."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any, TextIO

from bot.assistant.language import LanguageModel
from bot.assistant.rasa import Rasa, Understanding
from bot.assistant.triage import Triage
from nlu.encoder import encode
from nlu.normalise import meant, visible

BATCH = 64
_HALF = re.compile("[\ud800-\udfff]")  # of a character: no encoding takes it


class Reader:
    """Understands texts, many at once."""

    def __init__(self, languages: LanguageModel, triage: Triage, rasa: Rasa) -> None:
        self._languages, self._triage, self._rasa = languages, triage, rasa

    async def run(self, lines: AsyncIterator[str], out: TextIO, at_once: bool) -> None:
        """Read to the end of the input; one JSON object for each line, in order. `at_once`: before the next is read."""
        batch: list[str] = []
        async for line in lines:
            batch.append(_text(line))
            if len(batch) == BATCH or at_once:
                await self._write(batch, out)
                batch = []
        if batch:
            await self._write(batch, out)

    async def _write(self, batch: list[str], out: TextIO) -> None:
        whole = [_HALF.sub("\ufffd", text) for text in batch]
        vectors = [encode(meant(text)) for text in whole]
        understood = await self._rasa.understand(whole, vectors)
        for text, read, vector, understanding in zip(batch, whole, vectors, understood, strict=True):
            described = {**self.describe(read, vector, understanding), "text": text}
            print(json.dumps(described, ensure_ascii=False), file=out)
        out.flush()

    def describe(self, text: str, vector: Any, understanding: Understanding) -> dict[str, Any]:
        """The meaning of one text as the command prints it."""
        guess = self._languages.guess(visible(text))
        cue = self._triage.read(text, vector)
        ranking = [{"label": label, "confidence": round(c, 4)} for label, c in understanding.ranking[:3]]
        return {
            "text": text,
            "language": guess.language if guess else "fr",
            "label": ranking[0]["label"] if ranking else "out_of_scope",
            "confidence": ranking[0]["confidence"] if ranking else 0.0,
            "ranking": ranking,
            "cue": {"name": cue.name, "priority": cue.priority} if cue else None,
            "entities": list(understanding.entities),
        }


def _text(line: str) -> str:
    line = line.rstrip("\n")
    if line.lstrip().startswith("{"):
        try:
            said = json.loads(line)
            if isinstance(said, dict) and isinstance(said.get("text"), str):
                return str(said["text"])
        except (ValueError, RecursionError):
            pass
    return line
