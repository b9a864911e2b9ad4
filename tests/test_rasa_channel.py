"""What our channel inside Rasa's process refuses, and what it does not do twice; run by Rasa's own Python."""

from __future__ import annotations

import os
import subprocess

import pytest

from bot.settings import ROOT
from bot.training import RASA_PYTHON

BEGIN = """
import asyncio, base64
from types import SimpleNamespace
from bot.rasa import without_tensorflow
without_tensorflow.install()
import numpy as np
from rasa.core.actions.action import RemoteAction
from rasa.shared.core.events import ActionExecuted, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.utils.endpoints import EndpointConfig
from bot.rasa import channel
from nlu import encoder
"""
ROUND_IN_CIRCLES = """
class Processor:
    action_endpoint = EndpointConfig("http://127.0.0.1:1/")
    async def _update_tracker_session(self, tracker, out): pass
    async def _handle_message_with_tracker(self, message, tracker): tracker.update(UserUttered("hello"))
    async def run_action_extract_slots(self, out, tracker): return tracker
    async def _run_prediction_loop(self, out, tracker):
        tracker.update(ActionExecuted("utter_hello"))
        if self.ends: tracker.update(ActionExecuted("action_listen"))
processor = Processor()
body = {"text": "hello", "message_id": "1"}
service = channel.ServiceChannel("t" * 32)
for processor.ends in (True, False):
    tracker = DialogueStateTracker("x", [])
    failed = asyncio.run(service._take_turn(SimpleNamespace(processor=processor), tracker, body))
    assert bool(failed) is not processor.ends, failed
"""
RESULTS = """
action = RemoteAction("validate_form", None)
assert action._validate_action_result({"events": [{"event": "slot", "name": "a", "value": 1}], "responses": []})
for wrong in ({"events": 3}, {"events": [{"event": "slot"}]}, {"responses": ["hello"]}):
    try:
        action._validate_action_result(wrong)
    except Exception as error:
        assert "as agreed" in str(error)
    else:
        raise AssertionError(wrong)
"""
VECTORS = """
vector = np.arange(384, dtype="float32")
channel._know("Wach KAYN flous", base64.b64encode(vector.tobytes()).decode())
assert (encoder.encode(channel.meant("wach kayn flous")) == vector).all()
assert encoder._encoder is None, "the encoder was loaded"
"""


@pytest.mark.parametrize("check", [ROUND_IN_CIRCLES, RESULTS, VECTORS], ids=["circles", "results", "vectors"])
def test_inside_rasas_process(check: str) -> None:
    """A turn whose rules end nowhere has failed; a result out of shape is refused; a known vector is not made again."""
    run = subprocess.run(
        [str(RASA_PYTHON), "-W", "ignore", "-c", BEGIN + check],
        cwd=ROOT,
        env={**os.environ, "RASA_TELEMETRY_ENABLED": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
