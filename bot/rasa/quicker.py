"""Where Rasa does the same work anew in every turn: it is done once. Nothing else changes.

Each of these took between a twentieth and a half of Rasa's time for a turn (py-spy, benchmarks/turn).
"""

from functools import lru_cache
from typing import Any, Dict, List, Optional, Text, Tuple

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match
from rasa.core.actions.action import RemoteAction
from rasa.engine.exceptions import GraphRunError
from rasa.engine.runner.dask import DaskGraphRunner
from rasa.shared.core.events import Event

Plan = List[Tuple[Text, Tuple[Text, ...]]]  # nodes in their order, each with those that it needs

_RESULT = Draft202012Validator(RemoteAction.action_response_format_spec())


def _check_result(action: RemoteAction, result: Dict[Text, Any]) -> bool:
    """As `RemoteAction._validate_action_result`, without checking the schema itself each time."""
    error = best_match(_RESULT.iter_errors(result))
    if error is not None:
        raise ValidationError(f"the action's result is not as agreed: {error.message}")
    return True


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
    RemoteAction._validate_action_result = _check_result
    DaskGraphRunner.run = _run
    Event.resolve_by_type = staticmethod(lru_cache(maxsize=None)(Event.resolve_by_type))
