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
ORDINARY = 7000  # how many ordinary messages to learn from
# labels too close to a cue to be a clear "no"
NEAR = frozenset(
    [
        "asylum_refugee_fear",
        "trafficking_victims",
        "unaccompanied_children",
        "vulnerable_referral",
        "change_my_mind",
        "medical_needs",
        "psychosocial_support",
        "complaint",
        "family_and_children",
    ]
)
GROUPS = (1.0, 1.0, 1.0, 2.0)  # words, pieces of words, sounds, concepts
STRENGTH = 20.0  # C of the regressions
FOLDS = 3
# share of the hard harmless examples that may raise a false alarm, per column
SHARES = {"any": 0.045, "danger_now": 0.015, "suicidal": 0.015, "P1": 0.005}
RULE_BONUS = 1.0  # log odds that a strong pattern adds to its cue
# what phones and hurry do to French and English, applied at random to copies of the examples
SHORTER = [
    (re.compile(pattern), short)
    for pattern, short in [
        (r"qu", "k"), (r"(er|ez|ée|ées|és|é)\b", "é"), (r"(ais|ait|aient)\b", "é"),
        (r"(\w{3,})(es|s|t|e|ent)\b", r"\1"),
        (r"eau", "o"), (r"\bau", "o"), (r"ll", "l"), (r"mm", "m"), (r"pp", "p"), (r"tt", "t"), (r"\bthe\b", "d"),
        (r"\bto\b", "2"), (r"\bfor\b", "4"), (r"\byou\b", "u"), (r"\bare\b", "r"), (r"ing\b", "in"),
        (r"\band\b", "n"), (r"\bthat\b", "dat"), (r"\bmon\b", "mn"), (r"\bpour\b", "pr"), (r"\bavec\b", "avc"),
        (r"\bdans\b", "ds"), (r"\bpas\b", "pa"),
    ]
]  # fmt: skip
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


def shortened(text, chance):
    """The text as somebody in a hurry might type it."""
    text = text.lower()
    for pattern, short in SHORTER:
        if chance.random() < 0.6:
            text = pattern.sub(short, text)
    return text


def thinned(text, chance):
    """The text with one word in six left out, so that no single word decides."""
    words = text.split()
    if len(words) >= 5:
        for _ in range(max(1, len(words) // 6)):
            words.pop(chance.randrange(len(words)))
    return " ".join(words)


def copies(examples):
    """(index, text): altered copies of the examples, to learn from only."""
    chance = random.Random(5)
    for index, (_, text) in enumerate(examples):
        yield index, shortened(text, chance)
        yield index, thinned(shortened(text, chance), chance)


def group_matrices(rules, texts, vocabularies=None, least=3):
    """One row-normalised matrix for each group of features, side by side, and the vocabularies."""
    sets = [[] for _ in GROUPS]
    for text in texts:
        seen = rules.lexicon.sight(windows(text)[0])
        found = features(seen)
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
            known = sorted(vocabulary[n] for n in names if n in vocabulary)
            rows += [row] * len(known)
            columns += known
            values += [factor / np.sqrt(len(known))] * len(known) if known else []
        parts.append(sparse.csr_matrix((values, (rows, columns)), (len(texts), len(vocabulary))))
    return sparse.hstack(parts).tocsr(), vocabularies


def fit(matrix, wanted, importance):
    """The weights of one column."""
    model = LogisticRegression(C=STRENGTH, solver="liblinear", class_weight="balanced", random_state=0, tol=4e-3)
    model.fit(matrix, wanted, sample_weight=importance)
    return model.coef_[0], float(model.intercept_[0])


def train(out):
    """Train, choose thresholds, write the file."""
    began = time.monotonic()
    rules = Rules.load(RULES)
    examples = list(cue_examples())
    ordinary = ordinary_examples()
    altered = list(copies(examples))
    texts = [text for _, text in examples] + ordinary + [text for _, text in altered]
    source = np.array([*range(len(examples) + len(ordinary)), *(index for index, _ in altered)])
    cues = np.array([cue for cue, _ in examples] + ["none"] * len(ordinary))
    labels = cues[source]
    importance = np.where(source < len(examples), 1.0, 0.7)
    importance[len(cues) :] = 0.5
    matrix, vocabularies = group_matrices(rules, texts)
    columns = ["any", *rules.priorities]
    held_out = np.zeros((len(cues), len(columns)))
    fitted = []
    for i, column in enumerate(columns):
        wanted = labels != "none" if column == "any" else labels == column
        for _, check in StratifiedKFold(FOLDS, shuffle=True, random_state=7).split(cues, cues):
            learn = ~np.isin(source, check)
            weights, bias = fit(matrix[learn], wanted[learn], importance[learn])
            held_out[check, i] = matrix[check] @ weights + bias
        fitted.append(fit(matrix, wanted, importance))
    for row in range(len(cues)):
        hits = rules.hits(rules.lexicon.sight(windows(texts[row])[0]))
        if hits:
            held_out[row, 0] += RULE_BONUS
            for name in hits:
                held_out[row, columns.index(name)] += RULE_BONUS
    thresholds = choose(columns, held_out, cues, np.arange(len(cues)) < len(examples))
    save(out, columns, thresholds, fitted, vocabularies)
    print(f"{len(texts)} messages, {matrix.shape[1]} features, {time.monotonic() - began:.0f} s")  # noqa: T201


def choose(columns, scores, labels, hard):
    """Per column, the threshold above which a share of the harmless lines would be false alarms."""
    thresholds = {}
    harmless = (labels == "none") & hard
    for i, column in enumerate(columns):
        share = SHARES.get(column, SHARES["P1"])
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
        "rule_bonus": RULE_BONUS,
        "features": "\n".join(names[i] for i in kept),
        "weights": base64.b64encode(small[kept].tobytes()).decode(),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "var" / "models" / "cues.json")
    train(parser.parse_args().out)
