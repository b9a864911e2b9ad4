"""What our channel inside Rasa's process refuses, and what it does not do twice; run by Rasa's own Python."""

from __future__ import annotations

import os
import subprocess

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
RULES = """
import json, random
from rasa.core.policies.rule_policy import RulePolicy
policy = RulePolicy.__new__(RulePolicy)
chance = random.Random(1)
def state():
    before = chance.choice(["action_listen", "utter_a", "utter_b"])
    said = {"prev_action": {"action_name": before}} if chance.random() < .8 else {}
    return {**said, **({"user": {"intent": chance.choice("abc")}} if chance.random() < .7 else {})}
def states(): return [state() for _ in range(chance.randint(1, 4))]
lookups = [{json.dumps(states()): "utter_a" for _ in range(30)} for _ in range(2)]
fitting = 0
for _ in range(300):
    lookup, talk = chance.choice(lookups), states()
    expected = {
        key for key in lookup if all(policy._is_rule_applicable(key, i, one) for i, one in enumerate(reversed(talk)))
    }
    fitting += len(expected)
    assert policy._get_possible_keys(lookup, talk) == expected
assert fitting > 100 and len(policy.applicable) < 300, (fitting, len(policy.applicable))
"""
SPELLINGS = """
from sklearn.feature_extraction.text import TfidfVectorizer
words = TfidfVectorizer().fit(["one two", "two three"])
before = words.transform(["one two"]).toarray()
assert (words.transform(["one two"]).toarray() == before).all() and before[0, 0] > before[0, 2] > 0
words.fit(["one", "one two"])
assert len(words.idf_) == 2 and words.idf_[0] < words.idf_[1]
"""
CALLS = """
from rasa.shared.core.events import SlotSet
tracker = DialogueStateTracker("x", [])
for event in (UserUttered("before"), ActionExecuted("utter_a"), UserUttered("now"), SlotSet("name", "Awa")):
    tracker.update(event)
call = RemoteAction("validate_form", None)._action_call_format(tracker, None)
assert [event["event"] for event in call["tracker"]["events"]] == ["user", "slot"], call
assert call["tracker"]["latest_message"]["text"] == "now" and call["next_action"] == "validate_form"
"""
VECTORS = """
vector = np.arange(384, dtype="float32")
channel._know("Wach KAYN flous", base64.b64encode(vector.tobytes()).decode())
assert (encoder.encode(channel.meant("wach kayn flous")) == vector).all()
assert encoder._encoder is None, "the encoder was loaded"
"""


CHECKS = {
    "circles": ROUND_IN_CIRCLES,  # a turn whose rules end nowhere has failed
    "results": RESULTS,  # a result out of shape is refused
    "rules": RULES,  # the same rules fit a conversation as without our memory of it
    "spellings": SPELLINGS,
    "calls": CALLS,  # an action hears of this turn alone
    "vectors": VECTORS,  # a known vector is not made again
}


def test_inside_rasas_process() -> None:
    """What our channel and our quicker ways promise: each by itself, in one process, which takes long to start."""
    each = "".join(f"print({name!r}, flush=True)\nexec({check!r}, dict(globals()))\n" for name, check in CHECKS.items())
    run = subprocess.run(
        [str(RASA_PYTHON), "-W", "ignore", "-c", BEGIN + each],
        cwd=ROOT,
        env={**os.environ, "RASA_TELEMETRY_ENABLED": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr[-2000:]
    assert run.stdout.split() == list(CHECKS)
