"""Rasa's own command line, with our stand-ins for TensorFlow: `python -m bot.rasa run ...`."""

import os
import sys
import warnings

from bot.rasa import without_tensorflow


def main() -> None:
    """Run Rasa's command line in this process."""
    os.environ["RASA_TELEMETRY_ENABLED"] = "false"
    # at DEBUG Rasa logs what people write, so whatever the operator's own environment asks for does not count
    if os.environ.get("LOG_LEVEL") not in ("WARNING", "ERROR", "CRITICAL"):
        os.environ["LOG_LEVEL"] = "INFO"
    os.environ["LOG_LEVEL_LIBRARIES"] = "ERROR"
    os.environ.setdefault("SQLALCHEMY_SILENCE_UBER_WARNING", "1")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    without_tensorflow.install()
    from rasa.__main__ import main as rasa

    sys.argv[0] = "rasa"
    rasa()


if __name__ == "__main__":
    main()
