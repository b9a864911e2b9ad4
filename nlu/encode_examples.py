"""Make the vectors of every example, on every core: `.venv-rasa/bin/python -m nlu.encode_examples`.

The trainings that need them then begin side by side and read them from the file RAFIQ_VECTORS.
"""

import yaml

from nlu.encoder import encode_all
from nlu.normalise import meant
from nlu.train_cues import LANGUAGES, ROOT, cue_examples


def texts():
    """What the vectors of all examples are made of."""
    for _, text in cue_examples():
        yield meant(text)
    for language in LANGUAGES:
        for file in sorted((ROOT / "nlu" / language).glob("*.yml")):
            for block in yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)["nlu"]:
                for line in block["examples"].splitlines():
                    yield meant(line.removeprefix("- "))


if __name__ == "__main__":
    encode_all(texts())
