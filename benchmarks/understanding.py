"""Ways to understand a message, compared on the development set: `scripts/setup-stock`, then
`RAFIQ_VECTORS=var/models/vectors.npz .venv-rasa-stock/bin/python -m benchmarks.understanding [--diet MODEL]`.

Runs in stock Rasa's environment, which has TensorFlow too. Ours is trained here as nlu/components/classifier.py does;
`--diet` takes a model of `benchmarks.turn.stock` (var/benchmarks/stock-*.tar.gz), whose topics are intents. The table
stands in docs/decisions/0007-one-linear-classifier.md.
"""

import argparse
import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer

from nlu.components.classifier import WORD, LabelClassifier, _fit
from nlu.encoder import encode_all
from nlu.normalise import in_arabic_script, meant, normalise, spelled_out

ROOT = Path(__file__).resolve().parents[1]
LANGUAGES = ("fr", "en", "ar")
Row = tuple[str, str, str, str]  # language, label, style, text
Predict = Callable[[Sequence[Row]], list[list[str]]]  # for each row, its labels, the best first


def examples() -> list[Row]:
    """What is trained on; their style is not known."""
    return [
        (language, block["intent"], "", line[2:])
        for language in LANGUAGES
        for file in sorted((ROOT / "nlu" / language).glob("*.yml"))
        for block in yaml.safe_load(file.read_text(encoding="utf-8"))["nlu"]
        for line in block["examples"].splitlines()
    ]


def development() -> list[Row]:
    """What is never trained on."""
    folder = ROOT / "tests" / "understanding" / "dev"
    return [
        (language, *line.split("\t"))  # type: ignore[misc]
        for language in LANGUAGES
        for line in (folder / f"{language}.tsv").read_text(encoding="utf-8").splitlines()
    ]


def linear(rows: Sequence[Row], vectors: dict[str, Any], meaning: bool = True, spelling: bool = True) -> Predict:
    """Our classifier on these rows, with both kinds of features or one."""
    settings = LabelClassifier.get_default_config()

    def spellings(some: Sequence[Row]) -> tuple[list[str], list[str]]:
        plain = [normalise(row[3]) for row in some]
        arabic = [in_arabic_script(spelled_out(text)) for text in plain]
        return (
            [f"{text} {letters}" for text, letters in zip(plain, arabic, strict=True)],
            [f"{spelled_out(text)} {letters}" for text, letters in zip(plain, arabic, strict=True)],
        )

    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=2, sublinear_tf=True, dtype=np.float32)
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=WORD, dtype=np.float32)
    texts = spellings(rows)
    pieces.fit(texts[0])
    words.fit(texts[1])

    def features(some: Sequence[Row]) -> Any:
        normalised, spelled = spellings(some)
        parts = []
        if meaning:
            parts.append(csr_matrix(np.stack([vectors[meant(row[3])] for row in some]) * settings["vector_weight"]))
        if spelling:
            parts += [pieces.transform(normalised), words.transform(spelled)]
        return hstack(parts, format="csr")

    labels = np.array([row[1] for row in rows])
    weights, offsets = _fit(features(rows), labels, settings["strength"], settings["refusal"])
    names = np.unique(labels)
    return lambda some: names[np.argsort(-(features(some) @ weights + offsets), axis=1)[:, :3]].tolist()


def per_language(rows: Sequence[Row], vectors: dict[str, Any]) -> Predict:
    """One model a language, each message given to its own: a router that is never wrong."""
    models = {name: linear([row for row in rows if row[0] == name], vectors) for name in LANGUAGES}
    return lambda some: [models[row[0]]([row])[0] for row in some]


def diet(model: Path) -> Predict:
    """Stock Rasa's classifier."""
    from rasa.core.agent import Agent

    agent = Agent.load(str(model))

    async def ask(some: Sequence[Row]) -> list[list[str]]:
        answers = []
        for row in some:
            parsed = await agent.parse_message(row[3])
            ranking = [one["name"] for one in parsed["intent_ranking"] if one["name"] != "nlu_fallback"]
            answers.append(ranking[:3] or [""])
        return answers

    return lambda some: asyncio.run(ask(some))


def shares(rows: Sequence[Row], answers: Sequence[Sequence[str]]) -> list[float]:
    """Top-1 in standard writing and in every other for each language, then top-3, then out of scope refused."""
    found = []
    for language in LANGUAGES:
        for standard in (True, False):
            marks = [
                a[0] == r[1]
                for r, a in zip(rows, answers, strict=True)
                if r[0] == language and (r[2] == "standard") == standard
            ]
            found.append(sum(marks) / len(marks))
    found.append(sum(r[1] in a for r, a in zip(rows, answers, strict=True)) / len(rows))
    refused = [a[0] == r[1] for r, a in zip(rows, answers, strict=True) if r[1] == "out_of_scope"]
    return [*found, sum(refused) / len(refused)]


def main() -> None:
    """Compare and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--diet", type=Path, help="a model of stock Rasa")
    given = parser.parse_args()
    rows, held_out = examples(), development()
    vectors = encode_all(meant(row[3]) for row in [*rows, *held_out])
    ways: dict[str, Callable[[], Predict]] = {
        "one model, vectors and n-grams (ours)": lambda: linear(rows, vectors),
        "one model a language, routed without a mistake": lambda: per_language(rows, vectors),
        "n-grams only": lambda: linear(rows, vectors, meaning=False),
        "vectors only": lambda: linear(rows, vectors, spelling=False),
    }
    if given.diet:
        ways["DIET, stock Rasa's pipeline"] = lambda: diet(given.diet)
    print(f"{len(rows)} examples, {len(held_out)} messages of the development set\n")
    print("| | fr standard | fr other | en standard | en other | ar standard | ar other | top-3 | refused | s |")
    print("|---" * 10 + "|")
    for name, make in ways.items():
        began = time.monotonic()
        found = shares(held_out, make()(held_out))
        cells = " | ".join(f"{share:.1%}" for share in found)
        print(f"| {name} | {cells} | {time.monotonic() - began:.0f} |", flush=True)


if __name__ == "__main__":
    main()
