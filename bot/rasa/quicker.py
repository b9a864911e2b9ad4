"""Where Rasa does the same work anew in every turn: it is done once. Nothing else changes.

Each of these took between a twentieth and a half of Rasa's time for a turn (py-spy, benchmarks/turn).
"""

from functools import lru_cache
from typing import Any, Dict, List, Optional, Set, Text, Tuple

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match
from rasa.core.actions.action import RemoteAction
from rasa.core.policies.rule_policy import RulePolicy
from rasa.engine.exceptions import GraphRunError
from rasa.engine.runner.dask import DaskGraphRunner
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import Event, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker, EventVerbosity
from rasa.version import __version__
from sklearn.feature_extraction.text import TfidfTransformer

Plan = List[Tuple[Text, Tuple[Text, ...]]]  # nodes in their order, each with those that it needs

KEPT = 5000  # states of conversations whose rules are remembered
_IDF = TfidfTransformer.idf_.fget
_RESULT = Draft202012Validator(RemoteAction.action_response_format_spec())


def _check_result(action: RemoteAction, result: Dict[Text, Any]) -> bool:
    """As `RemoteAction._validate_action_result`, without checking the schema itself each time."""
    if isinstance(result, dict) and _is_plain(result.get("events"), result.get("responses")):
        return True
    error = best_match(_RESULT.iter_errors(result))
    if error is not None:
        raise ValidationError(f"the action's result is not as agreed: {error.message}")
    return True


def _is_plain(events: Any, responses: Any) -> bool:
    """Slots are set and something is said: what our actions answer is as agreed at sight."""
    return (
        isinstance(events, list)
        and all(
            isinstance(event, dict)
            and event.keys() <= {"event", "name", "value", "timestamp"}
            and event.get("event") == "slot"
            and isinstance(event.get("name"), str)
            and "value" in event
            and event.get("timestamp") is None
            for event in events
        )
        and isinstance(responses, list)
        and all(isinstance(response, dict) for response in responses)
    )


def _call(action: RemoteAction, tracker: DialogueStateTracker, domain: Domain) -> Dict[Text, Any]:
    """As `RemoteAction._action_call_format`, without what ours do not read: domain, earlier events."""
    state = tracker.current_state(EventVerbosity.NONE)
    turn: List[Dict[Text, Any]] = []
    for event in reversed(tracker.events):
        turn.append(event.as_dict())
        if isinstance(event, UserUttered):
            break
    state["events"] = turn[::-1]
    return {
        "next_action": action.name(),
        "sender_id": tracker.sender_id,
        "tracker": state,
        "domain": {},
        "version": __version__,
    }


def _run(
    runner: DaskGraphRunner, inputs: Optional[Dict[Text, Any]] = None, targets: Optional[List[Text]] = None
) -> Dict[Text, Any]:
    """As `DaskGraphRunner.run`, whose order of nodes is the same for the same targets."""
    wanted = tuple(targets or runner._graph_schema.target_names)
    plans: Dict[Tuple[Text, ...], Plan] = runner.__dict__.setdefault("plans", {})
    if wanted not in plans:
        plans[wanted] = _plan(runner, wanted)
    found: Dict[Text, Any] = {name: (name, value) for name, value in (inputs or {}).items()}
    try:
        for name, needed in plans[wanted]:
            found[name] = runner._instantiated_nodes[name](*(found[one] for one in needed))
    except RuntimeError as error:
        raise GraphRunError("Error running runner.") from error
    return dict(found[target] for target in wanted)


def _possible(policy: RulePolicy, lookup: Dict[Text, Text], states: List[Any]) -> Set[Text]:
    """As `RulePolicy._get_possible_keys`; which rules fit a state so many turns ago is found out once a state."""
    known: Dict[Any, Set[Text]] = policy.__dict__.setdefault("applicable", {})
    if len(known) > KEPT:
        known.clear()
    possible = set(lookup)
    for turn, state in enumerate(reversed(states)):
        which = (id(lookup), turn, repr(state))
        if which not in known:
            known[which] = {key for key in lookup if policy._is_rule_applicable(key, turn, state)}
        possible &= known[which]
    return possible


def _idf(transformer: TfidfTransformer) -> Any:
    """As scikit-learn's own, which sums up a matrix only to see that there is one."""
    matrix = transformer._idf_diag
    if transformer.__dict__.get("seen", (None,))[0] is not matrix:
        transformer.__dict__["seen"] = (matrix, _IDF(transformer))
    return transformer.__dict__["seen"][1]


def _plan(runner: DaskGraphRunner, targets: Tuple[Text, ...]) -> Plan:
    nodes = runner._graph_schema.minimal_graph_schema(list(targets)).nodes
    plan: Plan = []
    done = set()

    def add(name: Text) -> None:
        if name in nodes and name not in done:
            done.add(name)
            needed = tuple(nodes[name].needs.values())
            for one in needed:
                add(one)
            plan.append((name, needed))

    for target in targets:
        add(target)
    return plan


def install() -> None:
    """Put these in the place of Rasa's own."""
    RemoteAction._action_call_format = _call
    RemoteAction._validate_action_result = _check_result
    DaskGraphRunner.run = _run
    RulePolicy._get_possible_keys = _possible
    TfidfTransformer.idf_ = property(_idf)
    Event.resolve_by_type = staticmethod(lru_cache(maxsize=None)(Event.resolve_by_type))
