"""What every request to the console passes: where it comes from, who sends it, whether their role may do this."""

from __future__ import annotations

import hmac
import re
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv6Network, ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

import jinja2
import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from bot import i18n
from bot.channels.body import TooLarge, read_body, readable
from bot.console import access, accounts, audit
from bot.console.access import Field
from bot.console.accounts import Limits, Staff
from bot.console.live import Live, Shared
from bot.console.oidc import Provider
from bot.conversation import media
from bot.conversation.chosen import Chosen
from bot.db.invented import Notice
from bot.db.models import Handoff
from bot.db.session import Database
from bot.messages import LANGUAGES, Language
from bot.settings import Settings, reading_hours

log = structlog.get_logger(__name__)
HERE = Path(__file__).parent
LANGUAGE_COOKIE = "rafiq_console_language"
LARGEST = 64 * 1024  # bytes of a form
LARGEST_FILE = media.LARGEST  # bytes that come with one, where one may
MISSES = 30  # pages of references that are not there for somebody, within
LATELY = timedelta(minutes=10)
MOST_IN_A_MINUTE = 600  # requests of who is signed in: ten a second, pages that ask by themselves too
_PAGE = re.compile(r"/console(/[A-Za-z0-9_-]+)*/?")
_BOUNDARY = re.compile(r'boundary="?([A-Za-z0-9\'()+_,./:=?-]{1,70})')
_NAME = re.compile(r'; name="([^"]*)"')
POLICY = (
    "default-src 'none'; object-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class NotThere(Exception):
    """No such page, or not for them to know of."""


class Pace:
    """How many requests each member of the team sends in this minute to this process: more than anybody clicks are
    a script's."""

    def __init__(self) -> None:
        self._minute, self._sent = -1, Counter[uuid.UUID]()

    def often(self, staff_id: uuid.UUID) -> bool:
        """Count one more; whether they are too many."""
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._sent = minute, Counter()
        self._sent[staff_id] += 1
        return self._sent[staff_id] > MOST_IN_A_MINUTE


@dataclass(frozen=True, slots=True)
class Console:
    """What the pages work with."""

    database: Database
    settings: Settings
    live: Live
    chosen: Chosen
    invented: Notice = field(default_factory=Notice)
    provider: Provider | None = None
    queue: Shared[list[tuple[Handoff, str | None]]] = field(default_factory=Shared)  # what is open, for all viewers
    notes: audit.Notes = field(default_factory=audit.Notes)
    pace: Pace = field(default_factory=Pace)

    @property
    def secure(self) -> bool:
        """Whether browsers reach us over https."""
        return (self.settings.rafiq_public_url or "").startswith("https://")

    @property
    def cookie(self) -> str:
        """The session cookie's name: with https, one that no other host or path can set."""
        return "__Host-rafiq_console" if self.secure else "rafiq_console"

    @property
    def language_cookie(self) -> str:
        """The name of the cookie with the language that a reader chose, likewise."""
        return "__Host-" + LANGUAGE_COOKIE if self.secure else LANGUAGE_COOKIE

    @property
    def limits(self) -> Limits:
        """How long sessions live."""
        return Limits(
            timedelta(minutes=self.settings.rafiq_console_idle_minutes),
            timedelta(hours=self.settings.rafiq_console_hours),
        )


@dataclass(slots=True)
class Visit:
    """One request, checked."""

    console: Console
    request: Request
    language: Language
    form: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    token: str | None = None
    signed_in: Staff | None = None

    @property
    def staff(self) -> Staff:
        """Who is signed in: on every page but those of signing in."""
        if self.signed_in is None:
            raise RuntimeError("this page is open to everybody")
        return self.signed_in

    @property
    def place(self) -> str:
        """The network address that the request comes from; of an IPv6 one the half that a provider gives."""
        host = self.request.client.host if self.request.client else ""
        try:
            address = ip_address(host)
        except ValueError:
            return host
        if address.version == 4:
            return str(address)
        return str(address.ipv4_mapped or IPv6Network((int(address), 64), strict=False))

    def path(self, name: str) -> str:
        """A part of the address. Raises `NotThere` for what no database can look for."""
        given = str(self.request.path_params[name])
        if "\0" in given:
            raise NotThere
        return given

    def sees(self, what: Field) -> bool:
        """Whether their role sees this."""
        return access.sees(self.staff.role, what)

    def may(self, method: str, path: str) -> bool:
        """Whether their role may do this."""
        return self.signed_in is not None and access.may(self.signed_in.role, method, path)

    def say(self, text_id: str, **values: object) -> str:
        """A text of the catalogs in the reader's language."""
        return i18n.say(text_id, self.language, **values)

    def count(self, text_id: str, number: int) -> str:
        """The same with a number."""
        return i18n.say_number(text_id, number, self.language)

    def clock(self, at: datetime) -> str:
        """Day and time where the team works."""
        zone = reading_hours(self.console.settings.rafiq_reading_hours)[3]
        return at.astimezone(zone).strftime("%Y-%m-%d %H:%M")

    def show(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page or a part of one."""
        html = _TEMPLATES.get_template(template).render(
            visit=self,
            t=self.say,
            n=self.count,
            language=self.language,
            languages=LANGUAGES,
            native=lambda one: i18n.language_name(one, one),
            form_token=accounts.form_token(self.console.database, self.token) if self.token else "",
            path=self.request.url.path,
            clock=self.clock,
            invented=self.console.invented.shown,
            by_provider=self.console.provider is not None,
            **values,
        )
        return HTMLResponse(html, status)

    def number(self, name: str = "id") -> int:
        """A part of the address that is a number of ours."""
        given = self.path(name)
        if not (given.isascii() and given.isdecimal()) or len(given) > 18:
            raise NotThere
        return int(given)

    def page(self, pages: int) -> int:
        """Which page of a list is asked for: the first, where it is none."""
        given = self.request.query_params.get("page", "1")
        return min(max(int(given), 1), pages) if given.isascii() and given.isdecimal() and len(given) < 6 else 1

    def follow(self, changed: Callable[[set[int]], Awaitable[bool]]) -> Response:
        """A stream of events for an open page, as long as its session is good."""
        console, token = self.console, self.token or ""

        async def allowed() -> bool:
            return await accounts.find(console.database, token, console.limits, quietly=True) is not None

        return StreamingResponse(console.live.stream(changed, allowed), media_type="text/event-stream")

    def prove(self, onward: str) -> Response:
        """Password and code first, then `onward`."""
        return self.go(f"/console/verify?next={quote(onward)}")

    def go(self, path: str) -> Response:
        """On to another page, after something was done."""
        return RedirectResponse(path, 303)

    def renewed(self, response: Response) -> Response:
        """With the session's token of now."""
        response.set_cookie(
            self.console.cookie, self.token or "", path="/", secure=self.console.secure, httponly=True, samesite="lax"
        )
        return response

    async def note(self, action: str, target: str = "", **detail: str | int) -> None:
        """Write into the audit what is seen or done now."""
        await self.console.notes.add(self.console.database, self.staff.id, action, target, detail)


Handler = Callable[[Visit], Awaitable[Response]]


def guarded(console: Console, method: str, path: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """The handler behind all checks. A page that is not in the table of `access` cannot be served."""
    allowed = access.PAGES[method, path]

    async def serve(request: Request) -> Response:
        visit = Visit(console, request, _language(console, request, None))
        response = await _answer(visit)
        response.headers.update({name: value for name, value in HEADERS.items() if name not in response.headers})
        if console.secure:
            response.headers["strict-transport-security"] = "max-age=31536000"
        chosen = request.query_params.get("lang", "")
        if chosen in LANGUAGES:
            response.set_cookie(
                console.language_cookie, chosen, max_age=31_536_000, path="/", secure=console.secure, httponly=True,
                samesite="lax",
            )  # fmt: skip
        return response

    async def _answer(visit: Visit) -> Response:
        request = visit.request
        if method == "POST":
            if not _from_here(request):
                await _forged(visit)
                return visit.show("refused.html", 403, why="console.refused.origin")
            try:
                largest = LARGEST + (LARGEST_FILE if await _may_upload(request) else 0)
                body = await read_body(request, largest)
                visit.form, visit.files = _form(request, body)
                visit.form = {name: readable(given) for name, given in visit.form.items()}
            except TooLarge:
                return visit.show("refused.html", 413, why="console.refused.size")
            except ValueError:
                return visit.show("refused.html", 400, why="console.refused.form")
        visit.token = request.cookies.get(console.cookie)
        if allowed is None:
            return await _handled(visit)
        await console.invented.look(console.database)
        quietly = path in access.BY_ITSELF
        if visit.token is not None:
            visit.signed_in = await accounts.find(console.database, visit.token, console.limits, quietly=quietly)
        if visit.signed_in is None:
            return _sign_in_first(visit)
        if console.pace.often(visit.signed_in.id):
            return visit.show("refused.html", 429, why="console.refused.often")
        visit.language = _language(console, request, visit.signed_in)
        if method == "POST" and not hmac.compare_digest(
            visit.form.get("form_token", "").encode(),
            accounts.form_token(console.database, visit.token or "").encode(),
        ):
            await _forged(visit)
            return visit.show("refused.html", 403, why="console.refused.form")
        if visit.signed_in.role not in allowed:
            await visit.note("access.refused", f"{method} {path}")
            return visit.show("refused.html", 403, why="console.refused.role")
        if "{reference}" in path and await _misses(visit) >= MISSES:
            return visit.show("refused.html", 429, why="console.people.too_many")
        return await _handled(visit)

    async def _forged(visit: Visit) -> None:
        """A form that no page of theirs sent: logged; of who is signed in, in the audit too."""
        log.warning("form of another site refused", page=path)
        token = visit.request.cookies.get(console.cookie)
        if visit.signed_in is None and token is not None:
            visit.signed_in = await accounts.find(console.database, token, console.limits, quietly=True)
            if visit.signed_in is not None and console.pace.often(visit.signed_in.id):
                return
        if visit.signed_in is not None:
            await visit.note("access.forged", f"{method} {path}")

    async def _may_upload(request: Request) -> bool:
        """Nobody else's megabytes are read."""
        token = request.cookies.get(console.cookie)
        if path not in access.UPLOADS or token is None:
            return False
        known = await accounts.find(console.database, token, console.limits, quietly=True)
        return known is not None and known.role in (allowed or ())

    async def _handled(visit: Visit) -> Response:
        try:
            return await handler(visit)
        except NotThere:
            if visit.signed_in is not None:
                await visit.note("access.missing", f"{method} {path}")
            return visit.show("refused.html", 404, why="console.refused.missing")

    return serve


def _form(request: Request, body: bytes) -> tuple[dict[str, str], dict[str, bytes]]:
    """The fields and files of a form. Raises `ValueError` for what is none."""
    kind, _, rest = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != "multipart/form-data":
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=40)), {}
    boundary = _BOUNDARY.search(rest)
    if boundary is None:
        raise ValueError("no boundary")
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary[1].encode())[1:-1][:40]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = _NAME.search(head.decode())
        if name is None:
            raise ValueError("a part without a name")
        if b"filename=" in head:
            files[name[1]] = content
        else:
            fields[name[1]] = content.decode()
    return fields, files


async def _misses(visit: Visit) -> int:
    """How often they lately asked for what is not there for them: nobody tries references one after the other."""
    async with visit.console.database.looking() as session:
        return await audit.lately(session, visit.staff.id, "access.missing", LATELY)


def safe_path(given: str) -> str:
    """Where to go on after signing in: a page of ours, or the inbox."""
    path, _, rest = given.partition("?")
    return given if _PAGE.fullmatch(path) and rest.isprintable() and "\\" not in rest else "/console"


def _sign_in_first(visit: Visit) -> Response:
    if "hx-request" in visit.request.headers:
        return Response(status_code=200, headers={"hx-redirect": "/console/login"})
    if visit.request.headers.get("accept", "").startswith("text/event-stream"):
        return Response(status_code=204)  # a browser does not ask again
    here = visit.request.url.path if visit.request.method == "GET" else "/console"
    return visit.go(f"/console/login?next={here}")


def _from_here(request: Request) -> bool:
    """Whether a form was sent by a page of ours. Browsers say so; what is no browser holds no cookie of ours."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is None or origin.partition("://")[2] == request.headers.get("host")


def _language(console: Console, request: Request, staff: Staff | None) -> Language:
    """What the reader chose; else their first language; else what their browser prefers of ours."""
    wishes = [request.query_params.get("lang", ""), request.cookies.get(console.language_cookie, "")]
    wishes += [str(one) for one in staff.languages] if staff else []
    wishes += [one.split(";")[0].strip()[:2].lower() for one in request.headers.get("accept-language", "").split(",")]
    return next((language for wish in wishes for language in LANGUAGES if wish == language), "fr")
