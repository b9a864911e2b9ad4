"""Rasa's side of the conversation: one message in, its replies and understanding out, or an HTTP error.

Runs inside Rasa's process (Python 3.10). Unlike Rasa's own channels it never answers 200 for a failure,
keeps nothing of a turn whose action failed, answers a repeated message id with what it said the first time,
and takes an intent only from our own service: typed text that begins with "/" stays text.
"""

import asyncio
import base64
import gc
import hmac
import logging
from contextlib import nullcontext
from contextvars import ContextVar
from typing import Any, Awaitable, Callable, Dict, List, Optional, Text

import aiohttp
import numpy as np
from rasa.core.channels.channel import CollectingOutputChannel, InputChannel, UserMessage
from rasa.shared.core.events import ActionExecuted, BotUttered, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.utils.endpoints import DEFAULT_REQUEST_TIMEOUT, EndpointConfig
from sanic import Blueprint, response
from sanic.request import Request
from sanic.response import HTTPResponse

from bot.rasa import quicker
from bot.rasa.tracker_store import PostgresTrackerStore
from nlu import encoder
from nlu.normalise import meant

quicker.install()
logger = logging.getLogger(__name__)

WORD_JOINER = "\u2060"  # invisible; Rasa reads a leading "/" as an intent, also after white space
LONGEST = 2000  # characters that understanding reads; the service keeps the rest
FAILED: ContextVar[List[Text]] = ContextVar("failed_actions")


class ServiceChannel(InputChannel):
    """The only way into Rasa: bearer token, loopback."""

    def __init__(self, token: Text) -> None:
        if len(token) < 32:
            raise ValueError("the channel's token is missing or too short")
        self.token = token

    @classmethod
    def name(cls) -> Text:
        """The channel's name in Rasa's addresses: /webhooks/service/..."""
        return "service"

    @classmethod
    def from_credentials(cls, credentials: Optional[Dict[Text, Any]]) -> "ServiceChannel":
        """Made by Rasa from bot/rasa/credentials.yml."""
        return cls((credentials or {}).get("token", ""))

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """The addresses: GET / (health), POST /turn, POST /understand."""
        service = Blueprint("service_channel", "service_channel")

        @service.on_request
        async def check(request: Request) -> Optional[HTTPResponse]:
            given = request.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), ("Bearer " + self.token).encode()):
                return response.empty(status=401)
            agent = request.app.ctx.agent
            if agent is None or not agent.is_ready():
                return response.json({"error": "no model"}, status=503)
            return None

        @service.route("/", methods=["GET"])
        async def health(request: Request) -> HTTPResponse:
            await _store(request.app.ctx.agent).retrieve("health")  # a round trip to the tracker's database
            return response.json({"model": request.app.ctx.agent.processor.model_filename})

        @service.route("/understand", methods=["POST"])
        async def understand(request: Request) -> HTTPResponse:
            processor = request.app.ctx.agent.processor
            understood = []
            texts = request.json["texts"]
            for text, vector in zip(texts, request.json.get("vectors") or [None] * len(texts), strict=True):
                _know(text, vector)
                understood.append(_understanding(await processor.parse_message(UserMessage(_as_text(text)))))
                await asyncio.sleep(0)  # a long list must not hold up a conversation
            return response.json(understood)

        @service.route("/turn", methods=["POST"])
        async def turn(request: Request) -> HTTPResponse:
            agent, body = request.app.ctx.agent, request.json
            conversation, message_id = body["conversation"], body["message_id"]
            async with agent.lock_store.lock(conversation):
                tracker = await _store(agent).retrieve(conversation)
                if tracker is None:
                    tracker = DialogueStateTracker(conversation, agent.domain.slots)
                if _answered(tracker, message_id) is None:
                    failed = await self._take_turn(agent, tracker, body)
                    if failed:
                        return response.json({"error": "; ".join(failed)}, status=502)
                    await _store(agent).save(tracker)
            answered = _answered(tracker, message_id)
            return response.json(
                {
                    "messages": answered,
                    "understanding": _understanding(tracker.latest_message.parse_data),
                    "form": tracker.active_loop_name,
                    "asks": tracker.get_slot("requested_slot"),
                    "answers": {
                        name: value
                        for name, value in tracker.current_slot_values().items()
                        if value is not None and name not in ("requested_slot", "session_started_metadata")
                    },
                    "turns": sum(isinstance(event, UserUttered) for event in tracker.events),
                }
            )

        return service

    async def _take_turn(self, agent: Any, tracker: DialogueStateTracker, body: Dict[Text, Any]) -> List[Text]:
        """Run one turn on this tracker; the reasons why an action failed, if any did."""
        processor = agent.processor
        if not isinstance(processor.action_endpoint, WatchedEndpoint):
            processor.action_endpoint = WatchedEndpoint(processor.action_endpoint)
            gc.collect()
            gc.freeze()  # the model stays: no collection need look at it
            gc.set_threshold(20_000, 20, 20)
        failed: List[Text] = []
        FAILED.set(failed)
        collector = CollectingOutputChannel()
        _know(body.get("text", ""), body.get("vector"))
        message = UserMessage(
            text=_as_text(body["text"]) if "text" in body else "/" + body["intent"],
            output_channel=collector,
            sender_id=tracker.sender_id,
            input_channel=self.name(),
            message_id=body["message_id"],
            parse_data=_trusted(body) if "intent" in body else None,
        )
        await processor._update_tracker_session(tracker, collector)
        await processor._handle_message_with_tracker(message, tracker)
        tracker = await processor.run_action_extract_slots(collector, tracker)
        await processor._run_prediction_loop(collector, tracker)
        if tracker.latest_action_name != "action_listen":
            failed.append("the rules went round in circles")  # Rasa only stops; saved so, the next turn would be lost
        return failed


class WatchedEndpoint(EndpointConfig):
    """The service's action address. Rasa goes on after a failed action; here the failure is remembered.

    One client serves all calls, where Rasa makes one for each.
    """

    def __init__(self, watched: EndpointConfig) -> None:
        super().__init__(watched.url, watched.params, watched.headers, watched.basic_auth)
        self._client: Any = None

    def session(self) -> Any:
        """The client, for Rasa's `async with`, which does not close it."""
        if self._client is None:
            self._client = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=DEFAULT_REQUEST_TIMEOUT),
                connector=aiohttp.TCPConnector(keepalive_timeout=2),  # the service closes what is idle for five
            )
        return nullcontext(self._client)

    async def request(self, *args: Any, **kwargs: Any) -> Any:
        """As Rasa's own, but what it raises is also noted for this turn."""
        try:
            return await super().request(*args, **kwargs)
        except Exception as error:
            FAILED.get().append("action: " + type(error).__name__)
            raise


def _store(agent: Any) -> PostgresTrackerStore:
    # Rasa wraps the store so that errors become empty answers, and takes its own store in memory when ours
    # does not load: we want the errors
    store = getattr(agent.tracker_store, "_tracker_store", agent.tracker_store)
    if not isinstance(store, PostgresTrackerStore):
        raise RuntimeError("the tracker store did not load: conversations would be lost")
    return store


def _know(text: Text, vector: Optional[Text]) -> None:
    """The service encoded this text already (float32 in base64): it is not done twice."""
    if vector:
        encoder.remember(meant(_as_text(text)), np.frombuffer(base64.b64decode(vector), "float32"))


def _as_text(text: Text) -> Text:
    text = text[:LONGEST]
    return WORD_JOINER + text if text.lstrip().startswith(("/", "@")) else text


def _trusted(body: Dict[Text, Any]) -> Dict[Text, Any]:
    entities = [{"entity": name, "value": value, "start": 0, "end": 0} for name, value in body.get("slots", {}).items()]
    return {
        "text": "/" + body["intent"],
        "intent": {"name": body["intent"], "confidence": 1.0},
        "intent_ranking": [],
        "entities": entities,
    }


def _understanding(parsed: Optional[Dict[Text, Any]]) -> Dict[Text, Any]:
    parsed = parsed or {}
    return {
        "intent": parsed.get("intent", {}).get("name"),
        "confidence": parsed.get("intent", {}).get("confidence"),
        "ranking": parsed.get("labels", []),
        "entities": [
            {"entity": e["entity"], "value": e["value"]} for e in parsed.get("entities", []) if e["entity"] != "topic"
        ],
    }


def _answered(tracker: DialogueStateTracker, message_id: Text) -> Optional[List[Dict[Text, Any]]]:
    """What was said to this message, if its turn is complete in the tracker."""
    said: List[Dict[Text, Any]] = []
    complete = False
    for event in reversed(tracker.events):
        if isinstance(event, ActionExecuted) and event.action_name == "action_listen":
            complete = True
        if isinstance(event, BotUttered):
            said.append({"text": event.text, **(event.data.get("custom") or {})})
        if isinstance(event, UserUttered):
            if event.message_id == message_id:
                return list(reversed(said)) if complete else None
            said, complete = [], True
    return None
