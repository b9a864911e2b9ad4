"""First step of understanding: the message as typed becomes the message as understood."""

from __future__ import annotations

from typing import Any, Dict, List, Text

from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.shared.nlu.constants import TEXT
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from nlu.normalise import in_arabic_script, normalise, spelled_out

NORMALISED = "normalised"  # one spelling of each word; Arabizi stands there in both scripts
SPELLED_OUT = "spelled_out"  # and SMS spellings written out
MEANT = "meant"  # what the sentence vector is made of: spelled out, Arabizi in Arabic script only


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.MESSAGE_FEATURIZER, is_trainable=False)
class Normaliser(GraphComponent):
    """Adds the normalised text to each message; the typed text stays as it is."""

    @classmethod
    def create(
        cls,
        config: Dict[Text, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> Normaliser:
        """Made by Rasa from config.yml."""
        return cls()

    def process(self, messages: List[Message]) -> List[Message]:
        """Normalise each message."""
        for message in messages:
            text = normalise(message.get(TEXT) or "")
            plain = spelled_out(text)
            arabic = in_arabic_script(plain)
            message.set(NORMALISED, f"{text} {arabic}" if arabic else text)
            message.set(SPELLED_OUT, f"{plain} {arabic}" if arabic else plain)
            message.set(MEANT, arabic or plain)
        return messages

    def process_training_data(self, training_data: TrainingData) -> TrainingData:
        """Normalise the examples."""
        self.process(training_data.training_examples)
        return training_data
