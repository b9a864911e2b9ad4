"""Who may open which page and see which fields: one table, which the tests walk through row by row."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What somebody is in the team. Orientation workers and coordinators see nothing personal."""

    ORIENTATION = "orientation"
    COUNSELLOR = "counsellor"
    SUPERVISOR = "supervisor"
    COORDINATOR = "coordinator"
    ADMINISTRATOR = "administrator"


class Field(StrEnum):
    """What a page may hold that not everybody who opens it may see."""

    WORDS = "words"  # what was written in a conversation
    NAME = "name"
    PHONE = "phone"
    NOTES = "notes"


_COUNSELLORS = frozenset({Role.COUNSELLOR, Role.SUPERVISOR, Role.ADMINISTRATOR})
_OVERSEERS = frozenset({Role.SUPERVISOR, Role.COORDINATOR, Role.ADMINISTRATOR})
_PLANNERS = _COUNSELLORS | {Role.COORDINATOR}
_SUPERVISORS = frozenset({Role.SUPERVISOR, Role.ADMINISTRATOR})  # they read what people wrote
_EVERYBODY = frozenset(Role)
_READERS = _COUNSELLORS | _OVERSEERS  # of what the assistant says; those who oversee change it

FIELDS: dict[Field, frozenset[Role]] = dict.fromkeys(Field, _COUNSELLORS)

# None: nobody has to be signed in
PAGES: dict[tuple[str, str], frozenset[Role] | None] = {
    ("GET", "/console/login"): None,
    ("POST", "/console/login"): None,
    ("GET", "/console/login/provider"): None,
    ("GET", "/console/login/provider/back"): None,
    ("GET", "/console/login/code"): None,
    ("POST", "/console/login/code"): None,
    ("GET", "/console/static/{name}"): None,
    ("GET", "/console"): _EVERYBODY,
    ("GET", "/console/handoffs/list"): _EVERYBODY,
    ("GET", "/console/live"): _EVERYBODY,
    ("GET", "/console/handoffs/{reference}"): _EVERYBODY,
    ("GET", "/console/handoffs/{reference}/thread"): _COUNSELLORS,
    ("GET", "/console/handoffs/{reference}/live"): _COUNSELLORS,
    ("GET", "/console/handoffs/{reference}/media/{id}"): _COUNSELLORS,
    ("POST", "/console/handoffs/{reference}/take"): _COUNSELLORS,
    ("POST", "/console/handoffs/{reference}/reopen"): _COUNSELLORS,
    ("POST", "/console/handoffs/{reference}/reply"): _COUNSELLORS,
    ("POST", "/console/handoffs/{reference}/file"): _COUNSELLORS,
    ("POST", "/console/handoffs/{reference}/knock"): _COUNSELLORS,
    ("POST", "/console/handoffs/{reference}/note"): _COUNSELLORS,
    ("POST", "/console/handoffs/{reference}/transfer"): _COUNSELLORS,
    ("POST", "/console/handoffs/{reference}/give-back"): _COUNSELLORS,
    ("POST", "/console/handoffs/{reference}/release"): _COUNSELLORS,
    ("GET", "/console/handoffs/{reference}/book"): _COUNSELLORS,
    ("POST", "/console/handoffs/{reference}/book"): _COUNSELLORS,
    ("GET", "/console/requests/{reference}"): _EVERYBODY,
    ("POST", "/console/requests/{reference}/returned"): _COUNSELLORS,
    ("GET", "/console/calendar"): _PLANNERS,
    ("GET", "/console/calendar/week"): _PLANNERS,
    ("GET", "/console/calendar/live"): _PLANNERS,
    ("POST", "/console/calendar/days"): _COUNSELLORS,
    ("POST", "/console/calendar/slots/{id}"): _COUNSELLORS,
    ("GET", "/console/appointments/{reference}"): _COUNSELLORS,
    ("POST", "/console/appointments/{reference}/confirm"): _COUNSELLORS,
    ("POST", "/console/appointments/{reference}/move"): _COUNSELLORS,
    ("POST", "/console/appointments/{reference}/cancel"): _COUNSELLORS,
    ("POST", "/console/appointments/{reference}/outcome"): _COUNSELLORS,
    ("GET", "/console/checkins"): _PLANNERS,
    ("GET", "/console/checkins/{reference}"): _COUNSELLORS,
    ("GET", "/console/data/{reference}"): _SUPERVISORS,
    ("POST", "/console/data/{reference}/download"): _SUPERVISORS,
    ("POST", "/console/data/{reference}/erase"): _SUPERVISORS,
    ("GET", "/console/exports"): _SUPERVISORS,
    ("POST", "/console/exports"): _SUPERVISORS,
    ("POST", "/console/exports/{id}/decide"): _SUPERVISORS,
    ("POST", "/console/exports/{id}/fetch"): _SUPERVISORS,
    ("GET", "/console/points"): _EVERYBODY,
    ("POST", "/console/points"): _OVERSEERS,
    ("POST", "/console/points/{id}/revoke"): _OVERSEERS,
    ("GET", "/console/points/{id}/poster"): _EVERYBODY,
    ("GET", "/console/people"): _EVERYBODY,
    ("POST", "/console/people"): _EVERYBODY,
    ("GET", "/console/dashboard"): _OVERSEERS,
    ("POST", "/console/dashboard/export"): _OVERSEERS,
    ("GET", "/console/deliveries"): _OVERSEERS,
    ("POST", "/console/deliveries/messages/{id}/replay"): _OVERSEERS,
    ("POST", "/console/deliveries/messages/{id}/cancel"): _OVERSEERS,
    ("POST", "/console/deliveries/received/{id}/replay"): _OVERSEERS,
    ("POST", "/console/deliveries/events/{id}/replay"): _OVERSEERS,
    ("POST", "/console/deliveries/endpoint"): _OVERSEERS,
    ("GET", "/console/review"): _SUPERVISORS,
    ("POST", "/console/review/{id}"): _SUPERVISORS,
    ("POST", "/console/review/export"): _SUPERVISORS,
    ("GET", "/console/texts"): _READERS,
    ("GET", "/console/texts/{id}"): _READERS,
    ("POST", "/console/texts/{id}"): _OVERSEERS,
    ("POST", "/console/texts/{id}/preview"): _OVERSEERS,
    ("POST", "/console/texts/{id}/restore"): _OVERSEERS,
    ("GET", "/console/settings"): _READERS,
    ("GET", "/console/settings/offices/{id}"): _READERS,
    ("POST", "/console/settings/offices/{id}"): _OVERSEERS,
    ("POST", "/console/settings/offices/{id}/hours"): _OVERSEERS,
    ("POST", "/console/settings/offices/{id}/counsellors"): _OVERSEERS,
    ("POST", "/console/settings/closed"): _OVERSEERS,
    ("POST", "/console/settings/duty/{id}"): _OVERSEERS,
    ("POST", "/console/settings/numbers"): _OVERSEERS,
    ("POST", "/console/settings/rounds"): _OVERSEERS,
    ("POST", "/console/settings/quiet"): _OVERSEERS,
    ("POST", "/console/settings/emergency"): _OVERSEERS,
    ("POST", "/console/settings/emergency/remove"): _OVERSEERS,
    ("GET", "/console/audit"): frozenset({Role.SUPERVISOR, Role.ADMINISTRATOR}),
    ("GET", "/console/staff"): frozenset({Role.ADMINISTRATOR}),
    ("POST", "/console/staff/{id}/stop"): frozenset({Role.ADMINISTRATOR}),
    ("GET", "/console/account"): _EVERYBODY,
    ("POST", "/console/account/password"): _EVERYBODY,
    ("POST", "/console/account/sessions/{id}/end"): _EVERYBODY,
    ("GET", "/console/verify"): _EVERYBODY,
    ("POST", "/console/verify"): _EVERYBODY,
    ("POST", "/console/logout"): _EVERYBODY,
}

# what a page asks for by itself: it keeps no session alive
BY_ITSELF = {
    "/console/handoffs/list",
    "/console/live",
    "/console/handoffs/{reference}/thread",
    "/console/handoffs/{reference}/live",
    "/console/handoffs/{reference}/media/{id}",
    "/console/calendar/week",
    "/console/calendar/live",
}

# where a file may come with the form
UPLOADS = {"/console/handoffs/{reference}/file"}


def may(role: str, method: str, path: str) -> bool:
    """Whether this role may do this."""
    allowed = PAGES[method, path]
    return allowed is None or role in allowed


def sees(role: str, field: Field) -> bool:
    """Whether this role sees this field."""
    return role in FIELDS[field]
