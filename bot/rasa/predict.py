"""What a model makes of each line of the input, as JSON: `python -m bot.rasa.predict <model> < messages`.

`make check-tensorflow` runs it with and without TensorFlow installed and compares.
"""

import asyncio
import json
import os
import sys

from bot.rasa import without_tensorflow


def main() -> None:
    """Print the three best labels of each line, with confidences to six places."""
    os.environ["RASA_TELEMETRY_ENABLED"] = "false"
    without_tensorflow.install()
    from rasa.core.agent import Agent

    agent = Agent.load(sys.argv[1])
    for line in sys.stdin:
        understood = asyncio.run(agent.parse_message(line.rstrip("\n")))
        labels = [[one["label"], round(one["confidence"], 6)] for one in understood["labels"][:3]]
        sys.stdout.write(json.dumps({"intent": understood["intent"]["name"], "labels": labels}) + "\n")


if __name__ == "__main__":
    main()
