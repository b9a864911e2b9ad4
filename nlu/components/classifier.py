"""Which label a message has: one linear classifier on sentence vectors, words and pieces of words.

A label that is a topic of knowledge/topics.yml becomes Rasa's intent `question` with the entity `topic`; every
other label is an intent of its own name. The best labels travel with the message under `labels`.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Dict, List, Set, Text

import numpy as np
from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.shared.nlu.constants import ENTITIES, INTENT, TEXT
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from nlu.components.normaliser import NORMALISED, SPELLED_OUT
from nlu.components.vectors import VECTOR

QUESTION = "question"
TOPICS = Path(__file__).resolve().parents[2] / "knowledge" / "topics.yml"
LABELS = "labels"
WORD = r"(?u)\b\w+\b"


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.INTENT_CLASSIFIER, is_trainable=True)
class LabelClassifier(GraphComponent):
    """scikit-learn behind Rasa's interface."""

    @staticmethod
    def get_default_config() -> Dict[Text, Any]:
        """How the parts are balanced (chosen on the development set, see docs/decisions/).

        `vector_weight` weighs meaning against spelling, `strength` is the inverse regularisation, `refusal` how
        much more an example of what is out of scope counts, `ranking` how many labels travel on.
        """
        return {"vector_weight": 2.5, "strength": 0.5, "refusal": 4.0, "ranking": 10}

    def __init__(self, config: Dict[Text, Any], model_storage: ModelStorage, resource: Resource) -> None:
        self._config, self._storage, self._resource = config, model_storage, resource
        self._pieces: Any = None  # character n-grams → sparse row
        self._words: Any = None  # word n-grams → sparse row
        self._weights: Any = None  # features × labels
        self._offsets: Any = None  # one a label
        self._labels: List[Text] = []
        self._topics: Set[Text] = set()
        self._temperature = 1.0  # margins × this = log-odds

    @classmethod
    def create(
        cls,
        config: Dict[Text, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> LabelClassifier:
        """Made by Rasa from config.yml, before training."""
        return cls({**cls.get_default_config(), **config}, model_storage, resource)

    @classmethod
    def load(
        cls,
        config: Dict[Text, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        **kwargs: Any,
    ) -> LabelClassifier:
        """Read back what `train` wrote into the model."""
        import joblib

        component = cls.create(config, model_storage, resource, execution_context)
        with model_storage.read_from(resource) as folder:
            state = joblib.load(folder / "classifier.joblib")
        component._pieces, component._words, component._weights, component._offsets = state["features"]
        component._labels, component._topics = state["labels"], state["topics"]
        component._temperature = state["temperature"]
        return component

    def train(self, training_data: TrainingData) -> Resource:
        """Fit on all labelled examples; confidences are calibrated on folds that the fit did not see."""
        import joblib
        import yaml
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.model_selection import StratifiedKFold

        # rules name intents too, without a text
        examples = [m for m in training_data.training_examples if m.get(INTENT) and m.get(TEXT)]
        labels = np.array([m.get(INTENT) for m in examples])
        self._labels = sorted(set(labels))
        self._topics = set(yaml.safe_load(TOPICS.read_text(encoding="utf-8")))
        self._pieces = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 5), min_df=2, sublinear_tf=True, dtype=np.float32
        )
        self._words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=WORD, dtype=np.float32)
        self._pieces.fit(m.get(NORMALISED) for m in examples)
        self._words.fit(m.get(SPELLED_OUT) for m in examples)
        features = self._features(examples)
        held_out, rest = next(StratifiedKFold(5, shuffle=True, random_state=1).split(features, labels))[::-1]
        settings = (self._config["strength"], self._config["refusal"])
        with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
            half = pool.submit(_fit, features[rest], labels[rest], *settings)
            whole = pool.submit(_fit, features, labels, *settings)
            (weights, offsets), (self._weights, self._offsets) = half.result(), whole.result()
        self._temperature = _calibrated(
            features[held_out] @ weights + offsets, np.searchsorted(self._labels, labels[held_out])
        )
        with self._storage.write_to(self._resource) as folder:
            joblib.dump(
                {
                    "features": (self._pieces, self._words, self._weights, self._offsets),
                    "labels": self._labels,
                    "topics": self._topics,
                    "temperature": self._temperature,
                },
                folder / "classifier.joblib",
                compress=1,
            )
        return self._resource

    def process(self, messages: List[Message]) -> List[Message]:
        """Label each message."""
        for message in messages:
            margins = (self._features([message]) @ self._weights)[0] + self._offsets
            probabilities = _softmax(margins * self._temperature)
            best = np.argsort(-probabilities)[: self._config["ranking"]]
            ranking = [{"label": self._labels[i], "confidence": float(probabilities[i])} for i in best]
            top = ranking[0]["label"]
            is_topic = top in self._topics
            message.set(LABELS, ranking, add_to_output=True)
            message.set(
                INTENT,
                {"name": QUESTION if is_topic else top, "confidence": ranking[0]["confidence"]},
                add_to_output=True,
            )
            message.set(
                "intent_ranking",
                [{"name": r["label"], "confidence": r["confidence"]} for r in ranking[:3]],
                add_to_output=True,
            )
            if is_topic:
                topic = {"entity": "topic", "value": top, "start": 0, "end": 0}
                message.set(ENTITIES, [*message.get(ENTITIES, []), topic], add_to_output=True)
        return messages

    def _features(self, messages: List[Message]) -> Any:
        from scipy.sparse import csr_matrix, hstack

        vectors = np.asarray(np.stack([m.get(VECTOR) for m in messages]), dtype="float32")
        return hstack(
            [
                csr_matrix(vectors * self._config["vector_weight"]),
                self._pieces.transform(m.get(NORMALISED) for m in messages),
                self._words.transform(m.get(SPELLED_OUT) for m in messages),
            ],
            format="csr",
        )


def _fit(features: Any, labels: Any, strength: float, refusal: float) -> Any:
    from sklearn.svm import LinearSVC

    names, counts = np.unique(labels, return_counts=True)
    weights = dict(zip(names, len(labels) / (len(names) * counts)))  # rare labels count as much as frequent ones
    if "out_of_scope" in weights:
        weights["out_of_scope"] *= refusal
    model = LinearSVC(C=strength, class_weight=weights, random_state=1)
    model.fit(features, labels)
    return np.ascontiguousarray(model.coef_.T.astype("float32")), model.intercept_.astype("float32")


def _softmax(scores: Any) -> Any:
    shifted = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def _calibrated(margins: Any, truth: Any) -> float:
    """The temperature at which confidence says how often the label is right (least negative log-likelihood)."""
    from scipy.optimize import minimize_scalar

    def loss(temperature: float) -> float:
        return float(-np.log(_softmax(margins * temperature)[np.arange(len(truth)), truth] + 1e-12).mean())

    return float(minimize_scalar(loss, bounds=(0.5, 30), method="bounded").x)
