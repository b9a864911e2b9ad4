"""Learn the weights of the safety triage: `.venv-rasa/bin/python -m nlu.train_cues --out var/models/cues.json`.

One logistic regression for each cue, and one for any cue, on the features of bot/assistant/triage.py; the examples
are nlu/*/cues.tsv, and a sample of the ordinary examples as harmless ones. Thresholds come from cross-validation.
The same data gives the same file.
"""

import argparse
import base64
import json
import random
import re
import time
from pathlib import Path

import numpy as np
import yaml
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from bot.assistant.triage import RULES, Rules, features, windows

ROOT = Path(__file__).parents[1]
LANGUAGES = ("fr", "en", "ar")
ORDINARY = 4000  # how many ordinary messages to learn from
# labels too close to a cue to be a clear "no"
NEAR = frozenset(
    [
        "asylum_refugee_fear",
        "trafficking_victims",
        "unaccompanied_children",
        "medical_needs",
        "psychosocial_support",
        "vulnerable_referral",
        "scam_warning",
        "complaint",
        "family_and_children",
        "avrr_is_voluntary",
        "change_my_mind",
    ]
)
GROUPS = (1.0, 1.0, 0.7, 1.3)  # words, pieces of words, sounds, concepts
STRENGTH = 10.0  # C of the regressions
FOLDS = 5
_MARKED = re.compile(r"\[([^\]]*)\](?:\([^)]*\)|\{[^}]*\})")


def cue_examples():
    """(cue, text) of nlu/*/cues.tsv."""
    for language in LANGUAGES:
        for line in (ROOT / "nlu" / language / "cues.tsv").read_text(encoding="utf-8").splitlines():
            cue, _, text = line.split("\t")
            yield cue, text


def ordinary_examples():
    """What people ask without any cue."""
    texts = []
    for language in LANGUAGES:
        for name in ("questions", "intents", "out_of_scope"):
            file = ROOT / "nlu" / language / f"{name}.yml"
            if not file.is_file():
                continue
            for block in yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)["nlu"]:
                if block.get("intent") in NEAR or "examples" not in block:
                    continue
                texts += [_MARKED.sub(r"\1", line.removeprefix("- ")) for line in block["examples"].splitlines()]
    random.Random(7).shuffle(texts)
    return texts[:ORDINARY]


def group_matrices(rules, texts, vocabularies=None, least=2):
    """One row-normalised matrix for each group of features, side by side, and the vocabularies."""
    sets = [[], [], [], []]
    for text in texts:
        found = features(rules.lexicon.sight(" ".join(windows(text)[:1])))
        for kept, group in zip(sets, found):
            kept.append(group)
    if vocabularies is None:
        vocabularies = []
        for group in sets:
            counts = {}
            for names in group:
                for name in names:
                    counts[name] = counts.get(name, 0) + 1
            vocabularies.append({n: i for i, n in enumerate(sorted(k for k, c in counts.items() if c >= least))})
    parts = []
    for group, vocabulary, factor in zip(sets, vocabularies, GROUPS):
        rows, columns, values = [], [], []
        for row, names in enumerate(group):
            known = [vocabulary[n] for n in names if n in vocabulary]
            rows += [row] * len(known)
            columns += known
            values += [factor / np.sqrt(len(known))] * len(known) if known else []
        parts.append(sparse.csr_matrix((values, (rows, columns)), (len(texts), len(vocabulary))))
    return sparse.hstack(parts).tocsr(), vocabularies


def fit(matrix, wanted):
    """The weights of one column."""
    model = LogisticRegression(C=STRENGTH, solver="liblinear", class_weight="balanced", random_state=0)
    model.fit(matrix, wanted)
    return model.coef_[0], float(model.intercept_[0])


def train(out):
    """Train, choose thresholds, write the file."""
    began = time.monotonic()
    rules = Rules.load(RULES)
    examples = list(cue_examples())
    ordinary = ordinary_examples()
    texts = [text for _, text in examples] + ordinary
    labels = np.array([cue for cue, _ in examples] + ["none"] * len(ordinary))
    hard = np.arange(len(texts)) < len(examples)
    matrix, vocabularies = group_matrices(rules, texts)
    columns = ["any", *rules.priorities]
    held_out = np.zeros((len(texts), len(columns)))
    for learn, check in StratifiedKFold(FOLDS, shuffle=True, random_state=7).split(matrix, labels):
        for i, column in enumerate(columns):
            wanted = labels != "none" if column == "any" else labels == column
            weights, bias = fit(matrix[learn], wanted[learn])
            held_out[check, i] = matrix[check] @ weights + bias
    thresholds = choose(columns, held_out, labels, hard)
    fitted = [fit(matrix, labels != "none" if c == "any" else labels == c) for c in columns]
    save(out, columns, thresholds, fitted, vocabularies)
    print(f"{len(texts)} messages, {matrix.shape[1]} features, {time.monotonic() - began:.0f} s")  # noqa: T201


def choose(columns, scores, labels, hard):
    """Per column, the threshold above which a share of the harmless lines would be false alarms."""
    thresholds = {}
    harmless = (labels == "none") & hard
    for i, column in enumerate(columns):
        share = {"any": 0.03, "danger_now": 0.015, "suicidal": 0.015}.get(column, 0.006)
        ranked = np.sort(scores[harmless, i])[::-1]
        thresholds[column] = round(float(ranked[int(share * len(ranked))]), 3)
    alarm = (scores > [thresholds[c] for c in columns]).any(axis=1)
    print(  # noqa: T201
        f"cross-validated: recall {alarm[labels != 'none'].mean():.3f}, "
        f"false alarms {alarm[harmless].mean():.3f} of hard, {alarm[~hard].mean():.4f} of ordinary"
    )
    return thresholds


def save(out, columns, thresholds, fitted, vocabularies):
    """Write the weights in eight bits each, without the features that weigh nothing."""
    table = np.array([weights for weights, _ in fitted]).T
    scale = np.abs(table).max(axis=0) / 127
    small = np.rint(table / scale).astype(np.int8)
    names = [name for vocabulary in vocabularies for name in vocabulary]
    kept = [i for i in range(len(names)) if small[i].any()]
    data = {
        "columns": columns,
        "thresholds": thresholds,
        "bias": [round(bias, 4) for _, bias in fitted],
        "scale": [round(float(s), 6) for s in scale],
        "groups": list(GROUPS),
        "features": "\n".join(names[i] for i in kept),
        "weights": base64.b64encode(small[kept].tobytes()).decode(),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "var" / "models" / "cues.json")
    train(parser.parse_args().out)
