"""Which messages need a human at once: precise patterns of words, and a linear classifier beside them.

Reads every message before anything else, in this process, so that it works while Rasa does not. Patterns and
concepts are data (nlu/cue_rules.yml); the weights, on words and on the sentence's vector, are learnt by
nlu/train_cues.py, which uses `features` of here. Either alone raises a cue; the gravest wins. One needless check is
cheaper than a missed cry.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from nlu.encoder import encode
from nlu.normalise import meant, normalise, spelled_out, without_accents

Priority = Literal["P0", "P1"]
RULES = Path(__file__).parents[2] / "nlu" / "cue_rules.yml"
END = 600  # characters read at each end of a long message
WINDOW = 220  # characters the classifier reads at a time: a cry inside a long story is not diluted
LONGEST_WORD = 24
_ANYTHING = frozenset({""})
_SENTENCE_GAP = 12  # positions left free between sentences, more than any gap of a pattern
_CLAUSE_GAP = 1
_TOKEN = re.compile(r"[^\W_]+|[🆘🚨😭😂🤣]|[.!?;:,\n…]")
_MARKS = frozenset(".!?;:,\n…")
_NUMBER = re.compile(r"(\d{1,4})([a-z]{2,5})$")
_AGE_WORDS = frozenset(
    ["an", "ans", "yr", "yrs", "year", "years", "yo", "3am", "3ans", "sana", "snin", "ane", "anee", "3amr"]
)
_CLAUSE_WORDS = frozenset(["mais", "but", "ولكن", "لكن", "walakin", "walakini"])
_NEGATIONS_AFTER = frozenset(["pas", "jamais"])
_NEGATED_WORD = re.compile(r"ma.{3,}(?:ch|sh)$|ما.{3,}ش$")
_ENDING = re.compile("(?:ees|ez|er|ee|es|e|s|t)$")
_ARABIC = re.compile("[\u0600-\u06ff]")
_DOUBLED = re.compile(r"(.)\1+")
_WEAK_LETTERS = re.compile("[aeiouyw2]")
_SOUNDS = str.maketrans({
    "ا": None, "و": None, "ي": None, "ع": "3", "ح": "7", "خ": "x", "غ": "R", "ق": "9", "ك": "k", "ل": "l",
    "م": "m", "ن": "n", "ب": "b", "ت": "t", "ث": "t", "ج": "j", "د": "d", "ذ": "d", "ر": "r", "ز": "z", "س": "s",
    "ش": "S", "ص": "s", "ض": "d", "ط": "t", "ظ": "d", "ف": "f", "ه": "h",
})  # fmt: skip
_LATIN_SOUNDS = (
    ("kh", "x"), ("gh", "R"), ("ch", "S"), ("sh", "S"), ("qu", "k"), ("ph", "f"), ("th", "t"), ("5", "x"),
    ("q", "k"), ("c", "k"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cue:
    """A sign that somebody needs a human, and how fast: P0 now, P1 today."""

    name: str
    priority: Priority


@dataclass(frozen=True, slots=True)
class _Spelling:
    """One way to write a concept: pieces of a phrase, each a word with its free ends."""

    concept: str
    pieces: tuple[tuple[str, bool, bool], ...]


@dataclass(frozen=True, slots=True)
class _Step:
    """One element of a pattern: any of these concepts, at most `gap` words after the one before."""

    concepts: tuple[str, ...]
    gap: int
    optional: bool
    negated: bool | None
    needed: frozenset[str]  # one of these must be in the text


Pattern = tuple[tuple[_Step, ...], ...]
Features = tuple[set[str], set[str], set[str], set[str]]


@dataclass(slots=True)
class Sighting:
    """The words of a message with their positions, and where each concept stands."""

    words: list[str] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    clauses: list[int] = field(default_factory=list)
    sentences: list[int] = field(default_factory=list)
    # concept → length in positions → starts, as bits
    plain: dict[str, dict[int, int]] = field(default_factory=dict)
    negated: dict[str, dict[int, int]] = field(default_factory=dict)
    order: list[tuple[int, str]] = field(default_factory=list)


class Lexicon:
    """Concepts and their spellings, found in words in a time that does not depend on how many there are."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self._exact: dict[str, list[_Spelling]] = {}
        self._prefix: dict[str, list[_Spelling]] = {}
        self._suffix: dict[str, list[_Spelling]] = {}
        self._inside: dict[str, list[_Spelling]] = {}
        for concept, spellings in words.items():
            for spelling in spellings.split():
                self.add(concept, spelling)
        self._negations = frozenset(_split(words.get("neg", "").replace("_", " ")))
        self._of_word = lru_cache(maxsize=20_000)(self._look_up)

    def add(self, concept: str, spelling: str) -> None:
        """Register one spelling of a concept."""
        pieces = tuple(_pieces_of(spelling))
        if not pieces:
            return
        word, before, after = pieces[0]
        index = (self._exact, self._prefix, self._suffix, self._inside)[after + 2 * before]
        index.setdefault(word if before or after else _stem(word), []).append(_Spelling(concept, pieces))

    def sight(self, text: str) -> Sighting:
        """The words of this text (already `folded`) and the concepts in them."""
        seen = Sighting()
        position = clause = sentence = 0
        for piece in _TOKEN.findall(text):
            if piece in _MARKS:
                minor = piece in ",:"
                position += _CLAUSE_GAP if minor else _SENTENCE_GAP
                clause += 1
                sentence += not minor
                continue
            for word in _number_apart(piece):
                if word in _CLAUSE_WORDS:
                    clause += 1
                seen.words.append(word)
                seen.positions.append(position)
                seen.clauses.append(clause)
                seen.sentences.append(sentence)
                position += 1
        keys = [_key(word) for word in seen.words]
        for i, key in enumerate(keys):
            for spelling in self._of_word(key):
                length = _length(spelling.pieces, keys, i)
                if length:
                    self._note(seen, spelling.concept, i, length)
        return seen

    def _note(self, seen: Sighting, concept: str, i: int, length: int) -> None:
        last = i + length - 1
        span = seen.positions[last] - seen.positions[i]
        if span >= length + 2:  # a phrase does not reach over the end of a sentence
            return
        negated = self._is_negated(seen, i, last)
        where = seen.negated if negated else seen.plain
        spans = where.setdefault(concept, {})
        bit = 1 << seen.positions[i]
        if not spans.get(span, 0) & bit:
            spans[span] = spans.get(span, 0) | bit
            seen.order.append((seen.positions[i], f"!{concept}" if negated else concept))

    def _is_negated(self, seen: Sighting, first: int, last: int) -> bool:
        if _NEGATED_WORD.match(seen.words[first]):
            return True
        clause = seen.clauses[first]
        for j in range(max(0, first - 2), first):
            if seen.clauses[j] == clause and seen.words[j] in self._negations:
                return True
        after = last + 1
        return after < len(seen.words) and seen.clauses[after] == clause and seen.words[after] in _NEGATIONS_AFTER

    def _look_up(self, word: str) -> tuple[_Spelling, ...]:
        found = list(self._exact.get(_stem(word), ()))
        size = len(word)
        for k in range(2, size + 1):
            found += self._prefix.get(word[:k], ())
            found += self._suffix.get(word[size - k :], ())
        for start in range(size - 1):
            for stop in range(start + 2, size + 1):
                found += self._inside.get(word[start:stop], ())
        return tuple(found)


class Rules:
    """The patterns of each cue, read from YAML."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        words = {name: str(spellings) for name, spellings in data["words"].items()}
        self.lexicon = Lexicon(words)
        self._known = set(words)
        self._literals: set[str] = set()
        self.priorities: dict[str, Priority] = {name: cue["priority"] for name, cue in data["cues"].items()}
        self._strong = {name: self._compile(cue["strong"]) for name, cue in data["cues"].items()}
        self._cancel = {name: self._compile(cue["cancel"]) for name, cue in data["cues"].items()}
        self._frames = self._compile(data["frames"])

    @classmethod
    def load(cls, path: Path) -> Rules:
        """Read the file of patterns; a mistake in it is an error at start, not at a message."""
        return cls(yaml.safe_load(path.read_text(encoding="utf-8")))

    def hits(self, seen: Sighting) -> list[str]:
        """The cues whose strong patterns stand in the text uncancelled, gravest first."""
        framed: int | None = None
        found = []
        for name, patterns in self._strong.items():
            ends = _any(patterns, seen)
            if not ends:
                continue
            ends = _outside(ends, _any(self._cancel[name], seen), seen.positions, seen.clauses)
            if ends and self.priorities[name] == "P1":
                if framed is None:
                    framed = _any(self._frames, seen)
                ends = _outside(ends, framed, seen.positions, seen.sentences)
            if ends:
                found.append(name)
        return found

    def _compile(self, lines: Iterable[str]) -> list[Pattern]:
        return [tuple(tuple(self._steps(part)) for part in str(line).split("&")) for line in lines]

    def _steps(self, part: str) -> Iterator[_Step]:
        gap = 0
        for element in part.split():
            if element.strip(".") == "":
                gap = {2: 3, 3: 8}[len(element)]
                continue
            optional = element.startswith("?")
            element = element.lstrip("?")
            negated = {"~": True, "!": False}.get(element[0])
            concepts = tuple(self._concept(name) for name in element.lstrip("~!").split("|"))
            yield _Step(concepts, gap, optional, negated, _ANYTHING if optional else frozenset(concepts))
            gap = 0

    def _concept(self, name: str) -> str:
        if name.startswith("$"):
            if name[1:] not in self._known:
                raise ValueError(f"cue_rules.yml: no list of words is called {name}")
            return name[1:]
        concept = f"={name}"
        if concept not in self._literals:
            self._literals.add(concept)
            self.lexicon.add(concept, name)
        return concept


class Weights:
    """The learnt weights: what tells a cue from a harmless message, and which cue it is.

    The first column is the odds of any cue against messages that only look like one; then one column for each
    cue and one for each kind of harmless message, which compete. Both are added up and compared with a threshold.
    """

    def __init__(self, path: Path) -> None:
        with np.load(path) as stored:
            self._index = {name: i for i, name in enumerate(str(stored["features"]).split("\n"))}
            self._rows = stored["rows"]  # features × columns, int8
            self._scale = stored["scale"]  # of each column
            self._groups = stored["groups"].tolist()
            self._dense = stored["dense"]  # 384 × columns: of the sentence vector
            self._bias = stored["bias"]
            self._cues = str(stored["cues"]).split("\n")
            self._threshold, self._which, self._rule_bonus, self._p0_bonus = stored["settings"].tolist()

    def likely(
        self, groups: Sequence[Iterable[str]], vector: Any, hits: Sequence[str], p0: Container[str]
    ) -> str | None:
        """The cue that is likely enough, often none. Strong patterns weigh in; the cues of `p0` need less."""
        columns = self._bias + vector @ self._dense
        for group, factor in zip(groups, self._groups, strict=True):
            found = [i for i in map(self._index.get, group) if i is not None]
            if found:
                columns += (
                    self._rows[found].sum(axis=0, dtype=np.int32) * self._scale * (factor / math.sqrt(len(found)))
                )
        cues, harmless = columns[1 : 1 + len(self._cues)], columns[1 + len(self._cues) :]
        score = float(columns[0] + self._which * (_soft_maximum(cues) - _soft_maximum(harmless)))
        favoured = cues + np.array([self._rule_bonus * (name in hits) for name in self._cues])
        cue = self._cues[int(favoured.argmax())]
        score += self._rule_bonus * bool(hits) + self._p0_bonus * (cue in p0)
        return cue if score >= self._threshold else None


def _soft_maximum(margins: Any) -> Any:
    """log Σ exp of margins of a linear machine, which are about a fourth of log odds."""
    return np.log(np.exp(4 * margins).sum())


class Triage:
    """Reads a message and says whether somebody needs a human."""

    def __init__(self, rules: Rules, weights: Weights | None) -> None:
        self._rules = rules
        self._weights = weights
        self._p0 = frozenset(name for name, priority in rules.priorities.items() if priority == "P0")

    @classmethod
    def load(cls, weights: Path, rules: Path = RULES) -> Triage:
        """From the files; without the weights, the rules work alone."""
        return cls(Rules.load(rules), Weights(weights) if weights.is_file() else None)

    def priority(self, cue: str) -> Priority:
        """How fast this cue needs a human."""
        return self._rules.priorities[cue]

    def read(self, text: str, vector: Any = None) -> Cue | None:
        """The gravest cue of this text, or None. `vector` is the text's, where it is known already."""
        if self._weights is not None and vector is None:
            vector = encode(meant(text))
        if self._weights is None:
            return self.strong(text)
        found: set[str] = set()
        for part in windows(text):
            seen = self._rules.lexicon.sight(part)
            hits = self._rules.hits(seen)
            found.update(self._p0.intersection(hits))
            likely = self._weights.likely(features(seen), vector, hits, self._p0)
            if likely is not None:
                found.add(likely)
        return self._gravest(found)

    def strong(self, text: str) -> Cue | None:
        """The gravest cue that a strong pattern shows, without the weights: fast, and works before any training."""
        seen = (self._rules.lexicon.sight(part) for part in windows(text))
        return self._gravest({name for one in seen for name in self._rules.hits(one)})

    def _gravest(self, found: Container[str]) -> Cue | None:
        for name, priority in self._rules.priorities.items():
            if name in found:
                return Cue(name, priority)
        return None


def folded(text: str) -> str:
    """One spelling: normalised, SMS short cuts written out, no accents; at most both ends of a long text."""
    if len(text) > 2 * END:
        text = f"{text[:END]}. {text[-END:]}"
    return without_accents(spelled_out(normalise(text)))


def windows(text: str) -> list[str]:
    """The folded text in overlapping pieces of about `WINDOW` characters, cut between words."""
    whole = folded(text)
    if len(whole) <= WINDOW * 1.3:
        return [whole]
    pieces = []
    start = 0
    while start < len(whole):
        stop = start + WINDOW
        space = whole.find(" ", stop, stop + LONGEST_WORD)
        stop = space if space >= 0 else stop
        pieces.append(whole[start:stop])
        if stop >= len(whole):
            break
        start = max(start + WINDOW // 2, stop - WINDOW // 3)
        space = whole.find(" ", start, start + LONGEST_WORD)
        start = space + 1 if space >= 0 else start
    return pieces


def features(seen: Sighting) -> Features:
    """What the classifier looks at: words, pieces of words, their sounds, and concepts."""
    words = seen.words
    phrases = {f"{len(run)} {' '.join(run)}" for run in _runs(words)}
    pieces: set[str] = set()
    for word in set(words):
        framed = f" {word} "
        for n in (2, 3, 4, 5):
            pieces.update(framed[i : i + n] for i in range(len(framed) - n + 1))
    sounds = {"#" + " ".join(run) for run in _runs([s for s in map(_sound, words) if s])}
    concepts: set[str] = set()
    order = sorted((at, name) for at, name in seen.order if name[0] != "=" and name[1] != "=")[:60]
    for i, (at, name) in enumerate(order):
        concepts.add("@" + name)
        for later, other in order[i + 1 :]:
            if later - at > _SENTENCE_GAP:
                break
            if other != name:
                concepts.add(f"@{name}>{other}")
    return phrases, pieces, sounds, concepts


def _runs(words: Sequence[str]) -> Iterator[Sequence[str]]:
    for n in (1, 2, 3):
        for i in range(len(words) - n + 1):
            yield words[i : i + n]


@lru_cache(maxsize=20_000)
def _sound(word: str) -> str:
    """The consonants, the same for Arabic and Latin letters: « كيضربني », « kaydrebni » → kdrbn."""
    if _ARABIC.search(word):
        word = word.translate(_SOUNDS)
    else:
        for written, sound in _LATIN_SOUNDS:
            word = word.replace(written, sound)
        word = _WEAK_LETTERS.sub("", word)
    return _DOUBLED.sub(r"\1", word)


@lru_cache(maxsize=20_000)
def _key(word: str) -> str:
    """What is left when letters that people double, or write by ear, are unified."""
    return _DOUBLED.sub(r"\1", word.replace("qu", "k").replace("ph", "f"))


@lru_cache(maxsize=20_000)
def _stem(key: str) -> str:
    """A Latin word without the ending that people leave out: « frappée », « frape » → frap."""
    return _ENDING.sub("", key) if len(key) > 3 and key.isascii() and key.isalpha() else key


def _number_apart(token: str) -> tuple[str, ...]:
    """« 15ans » is two words; a word too long to be one is cut."""
    match = _NUMBER.match(token)
    if match and match[2] in _AGE_WORDS:
        return _number_class(match[1]), match[2]
    return (_number_class(token[:LONGEST_WORD]),)


def _number_class(word: str) -> str:
    if not (word.isascii() and word.isdigit()):
        return word
    number = int(word[:6])
    if len(word) == 4 and 1950 < number < 2060:
        age = time.gmtime().tm_year - number
        return "0bornminor" if 0 <= age < 18 else "0year"
    return "0minor" if 0 < number < 18 else "0adult" if number < 100 else "0number"


def _split(text: str) -> list[str]:
    return list(_TOKEN.findall(without_accents(spelled_out(normalise(text)))))


def _pieces_of(spelling: str) -> Iterator[tuple[str, bool, bool]]:
    for piece in spelling.split("_"):
        before, after = piece.startswith("*"), piece.endswith("*")
        bare = piece.strip("*")
        if not bare:
            yield "", True, True
        elif before or after:
            yield _key(without_accents(normalise(bare))), before, after
        else:
            for word in _split(bare):
                yield _key(word), False, False


def _length(pieces: tuple[tuple[str, bool, bool], ...], words: list[str], i: int) -> int:
    """How many words the phrase takes from word i on; 0 when it is not there."""
    size = len(pieces)
    if i + size > len(words):
        return 0
    for k in range(1, size):
        piece, before, after = pieces[k]
        word = words[i + k]
        if before and after:
            fits = piece in word
        elif after:
            fits = word.startswith(piece)
        elif before:
            fits = word.endswith(piece)
        else:
            fits = word == piece or _stem(word) == _stem(piece)
        if not fits:
            return 0
    return size


def _ends(pattern: Pattern, seen: Sighting) -> int:
    """The positions where the first part of a pattern ends, if all its parts are there."""
    first = 0
    for k, part in enumerate(pattern):
        ends = _part_ends(part, seen)
        if not ends:
            return 0
        if k == 0:
            first = ends
    return first


def _part_ends(part: Sequence[_Step], seen: Sighting) -> int:
    reached = -1  # everywhere
    gap_carried = 0
    for step in part:
        allowed = reached
        gap = step.gap + gap_carried
        if reached != -1:
            allowed = 0
            for distance in range(1, gap + 2):
                allowed |= reached << distance
        here = 0
        for concept in step.concepts:
            for table, wanted in ((seen.plain, False), (seen.negated, True)):
                if step.negated is not None and step.negated is not wanted:
                    continue
                for span, starts in table.get(concept, {}).items():
                    here |= (starts & allowed) << span
        if step.optional:
            if reached == -1:
                continue
            reached |= here
            gap_carried += step.gap
        else:
            reached = here
            gap_carried = 0
            if not reached:
                return 0
    return 0 if reached == -1 else reached


def _any(patterns: Iterable[Pattern], seen: Sighting) -> int:
    here = {"", *seen.plain, *seen.negated}
    ends = 0
    for pattern in patterns:
        if not any(step.needed.isdisjoint(here) for part in pattern for step in part):
            ends |= _ends(pattern, seen)
    return ends


def _outside(ends: int, stop: int, positions: Sequence[int], units: Sequence[int]) -> int:
    """The hits that stand in a clause (or sentence) without any cancelling context."""
    if not stop:
        return ends
    stopped = {unit for at, unit in zip(positions, units, strict=True) if stop >> at & 1}
    left = 0
    for at, unit in zip(positions, units, strict=True):
        if ends >> at & 1 and unit not in stopped:
            left |= 1 << at
    return left
