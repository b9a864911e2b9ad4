"""Learn the weights of the safety triage: `.venv-rasa/bin/python -m nlu.train_cues --out var/models/cues.npz`.

Two linear models on the features of bot/assistant/triage.py and on the sentence's vector: one tells any cue from
messages that only look like one; in the other the cues compete with each other and with what is harmless. The
examples are nlu/*/cues.tsv, and a sample of the ordinary examples as harmless ones. The threshold is chosen on
messages left out. The same data gives the same file.
"""

import argparse
import hashlib
import random
import re
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import yaml
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from bot.assistant.triage import RULES, Rules, features, windows
from nlu.encoder import encode_all
from nlu.normalise import meant

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
# labels without a cue in the words of cues: « je veux rentrer chez moi » stands beside « j'ai peur de rentrer »
CLOSE = frozenset(
    [
        "return_request",
        "avrr_is_voluntary",
        "avrr_for_whom",
        "scam_warning",
        "steps_from_morocco",
        "book_interview",
        "talk_to_human",
        "stop",
        "deny",
    ]
)
GROUPS = (1.0, 1.0, 1.0, 2.0)  # words, pieces of words, sounds, concepts
VECTOR_WEIGHT = 4.0
STRENGTH_ANY, STRENGTH_WHICH = 5.0, 0.3  # C of the two models
COPY = 0.5  # how much an altered copy counts
ORDINARY_WEIGHT = 0.4  # of an ordinary message, where cues are told from what only looks like one
WHICH = 0.4  # how much the second model's odds count beside the first's
RULE_BONUS = 1.5  # log odds that a strong pattern adds
FOLDS = 4  # one of them is left out to choose the threshold
P0_BONUS = 1.2  # log odds that are added where the likeliest cue is a P0: those must not be missed
SHARE = 0.10  # of the hard harmless examples that may raise a false alarm
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


def cue_examples():
    """(cue, text) of nlu/*/cues.tsv."""
    for language in LANGUAGES:
        for line in (ROOT / "nlu" / language / "cues.tsv").read_text(encoding="utf-8").splitlines():
            cue, _, text = line.split("\t")
            yield cue, text


def ordinary_examples():
    """What people ask without any cue: all that stands close to cues, and as many again of the rest."""
    close, rest = [], []
    for language in LANGUAGES:
        for name in ("questions", "intents", "out_of_scope"):
            file = ROOT / "nlu" / language / f"{name}.yml"
            for block in yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)["nlu"]:
                if block["intent"] not in NEAR:
                    kept = close if block["intent"] in CLOSE else rest
                    kept += [line.removeprefix("- ") for line in block["examples"].splitlines()]
    rest.sort(key=lambda text: hashlib.sha256(text.encode()).digest())  # one example more changes one, not all
    return close, rest[: ORDINARY - len(close)]


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


def fit(matrix, kinds, hard, importance):
    """Both models: columns × features of weights, and a bias for each column."""
    cue = ~np.isin(kinds, ("none", "ordinary"))
    first = LogisticRegression(
        C=STRENGTH_ANY, solver="liblinear", class_weight="balanced", random_state=0, tol=4e-3
    ).fit(matrix, cue, sample_weight=np.where(hard, importance, ORDINARY_WEIGHT * importance))
    second = LinearSVC(C=STRENGTH_WHICH, class_weight="balanced", random_state=0).fit(
        matrix, kinds, sample_weight=importance
    )
    order = np.argsort([name in ("none", "ordinary") for name in second.classes_], kind="stable")
    weights = np.vstack([first.coef_, second.coef_[order]])
    bias = np.concatenate([first.intercept_, second.intercept_[order]])
    return weights, bias, [str(second.classes_[i]) for i in order]


def score(margins, cues):
    """As `bot.assistant.triage.Weights.likely` adds the columns up."""

    def soft_maximum(some):
        return np.log(np.exp(4 * some).sum(axis=1))

    return margins[:, 0] + WHICH * (soft_maximum(margins[:, 1 : 1 + cues]) - soft_maximum(margins[:, 1 + cues :]))


def train(out):
    """Train, choose the threshold, write the file."""
    began = time.monotonic()
    rules = Rules.load(RULES)
    examples, (close, rest) = list(cue_examples()), ordinary_examples()
    ordinary = close + rest
    originals = [text for _, text in examples] + ordinary
    altered = list(copies(examples))
    source = np.array([*range(len(originals)), *(index for index, _ in altered)])
    kinds = np.array([cue for cue, _ in examples] + ["ordinary"] * len(ordinary))[source]
    hard = source < len(examples) + len(close)
    importance = np.where(np.arange(len(source)) < len(originals), 1.0, COPY)
    spoken = [meant(text) for text in originals]
    known = encode_all(spoken)
    vectors = np.stack([known[text] for text in spoken])[source] * np.float32(VECTOR_WEIGHT)
    lexical, vocabularies = group_matrices(rules, originals + [text for _, text in altered])
    matrix = sparse.hstack([sparse.csr_matrix(vectors), lexical], format="csr")
    cues = len(rules.priorities)

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=7).split(originals, kinds[: len(originals)])
    check = next(iter(folds))[1]
    learn = ~np.isin(source, check)
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        part = pool.submit(fit, matrix[learn], kinds[learn], hard[learn], importance[learn])
        whole = pool.submit(fit, matrix, kinds, hard, importance)
        (weights, bias, _), (final, final_bias, names) = part.result(), whole.result()
    held_out = score(matrix[check] @ weights.T + bias, cues)
    for place, row in enumerate(check):
        if row < len(examples) and rules.hits(rules.lexicon.sight(windows(originals[row])[0])):
            held_out[place] += RULE_BONUS
    harmless, ordinary_ones = kinds[check] == "none", kinds[check] == "ordinary"
    threshold = float(np.quantile(held_out[harmless], 1 - SHARE))
    alarms = held_out > threshold
    print(  # noqa: T201
        f"on {len(check)} messages left out: recall {alarms[~harmless & ~ordinary_ones].mean():.3f}, "
        f"false alarms {alarms[harmless].mean():.3f} of hard, {alarms[ordinary_ones].mean():.4f} of ordinary"
    )
    save(out, final, final_bias, names[:cues], threshold, vocabularies)
    print(f"{len(source)} messages, {matrix.shape[1]} features, {time.monotonic() - began:.0f} s")  # noqa: T201


def save(out, weights, bias, cues, threshold, vocabularies):
    """Write the weights of words in eight bits each, without the features that weigh nothing."""
    vector, table = weights[:, :384].T, weights[:, 384:].T
    scale = np.abs(table).max(axis=0) / 127
    small = np.rint(table / scale).astype(np.int8)
    names = [name for vocabulary in vocabularies for name in vocabulary]
    kept = [i for i in range(len(names)) if small[i].any()]
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        out,
        features="\n".join(names[i] for i in kept),
        rows=small[kept],
        scale=scale.astype(np.float32),
        groups=np.array(GROUPS),
        dense=(vector * VECTOR_WEIGHT).astype(np.float32),
        bias=bias.astype(np.float32),
        cues="\n".join(cues),
        settings=np.array([threshold, WHICH, RULE_BONUS, P0_BONUS]),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "var" / "models" / "cues.npz")
    train(parser.parse_args().out)
