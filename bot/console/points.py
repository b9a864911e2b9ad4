"""Orientation points: how many came by each, its poster to print, and the end of its codes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

from starlette.responses import Response

from bot.console import audit
from bot.console.guard import Handler, NotThere, Visit
from bot.messages import LANGUAGES, Language
from bot.orientation import points, poster, report
from bot.settings import SettingsError

LONGEST = 80  # characters of a name
PAGE = 50  # points on a page
MONTHS = 12  # of which the counts are, this one included


async def listing(visit: Visit) -> Response:
    """All points, with their counts for those who may see them."""
    return await _listing(visit)


async def _listing(visit: Visit, error: str = "", status: int = 200) -> Response:
    database = visit.console.database
    counts: dict[int | None, Sequence[str]] = {}
    if visit.may("POST", "/console/points"):
        now = datetime.now(UTC)
        first = now.year * 12 + now.month - MONTHS  # months since the year 0, from 0
        rows = await report.funnel(database, (first // 12, first % 12 + 1), (now.year, now.month))
        counts = {
            row.point: [report.cell(people) for people in (row.came, row.talked, row.requested, row.interview)]
            for row in rows
        }
    known = await points.known(database)
    pages = max(1, -(-len(known) // PAGE))
    page = visit.page(pages)
    return visit.show(
        "points.html",
        status,
        points=known[(page - 1) * PAGE : page * PAGE],
        page=page,
        pages=pages,
        counts=counts,
        sizes=tuple(poster.SIZES),
        formats=poster.FORMATS,
        ready=visit.console.settings.telegram_username is not None
        or visit.console.settings.whatsapp_number is not None,
        error=error,
    )


async def add(visit: Visit) -> Response:
    """A new point."""
    name, city = visit.form.get("name", "").strip()[:LONGEST], visit.form.get("city", "").strip()[:LONGEST]
    languages = _languages(visit.form)
    if not name or not city or not languages:
        return await _listing(visit, visit.say("console.points.wrong"), 400)
    notes = visit.form.get("notes", "").strip()[: 2 * LONGEST]
    point = await points.add(visit.console.database, name, city, languages, notes)
    await visit.note("point.added", str(point.id))
    return visit.go("/console/points")


async def revoke(visit: Visit) -> Response:
    """Its posters lead to a conversation like any other from now on."""
    number = visit.number()
    if not await points.revoke(visit.console.database, number):
        raise NotThere
    await visit.note("point.revoked", str(number))
    return visit.go("/console/points")


async def print_poster(visit: Visit) -> Response:
    """Its poster in these languages, to print or to send."""
    console, given = visit.console, visit.request.query_params
    point = await points.find(console.database, visit.number())
    if point is None or point.revoked_at is not None:
        raise NotThere
    own = [one for one in point.languages if one in given] + [one for one in LANGUAGES if one in given]
    languages = cast("list[Language]", list(dict.fromkeys(own))) or cast("list[Language]", list(point.languages))
    size, form = given.get("size", "a4"), given.get("format", "pdf")
    if size not in poster.SIZES or form not in poster.FORMATS:
        raise NotThere
    try:
        codes = poster.codes(console.settings, console.database.vault, point.code, languages[0])
        drawn = await asyncio.to_thread(
            poster.draw, codes, languages, cast("poster.Size", size), cast("poster.Format", form)
        )
    except SettingsError:
        return await _listing(visit, visit.say("console.points.addresses"), 409)
    except ValueError:
        return await _listing(visit, visit.say("console.points.too_long"), 409)
    async with console.database.session() as session:
        detail: Mapping[str, str | int] = {"size": size, "format": form, "languages": ",".join(languages)}
        await audit.record(session, console.database.vault, visit.staff.id, "poster.printed", str(point.id), detail)
        await session.commit()
    name = f"rafiq-{point.id}-{size}-{'-'.join(languages)}.{form}"
    media_type = "application/pdf" if form == "pdf" else "image/png"
    return Response(
        drawn, headers={"content-type": media_type, "content-disposition": f'attachment; filename="{name}"'}
    )


def _languages(form: Mapping[str, str]) -> list[Language]:
    return [one for one in LANGUAGES if form.get(one) == "on"]


HANDLERS: Mapping[tuple[str, str], Handler] = {
    ("GET", "/console/points"): listing,
    ("POST", "/console/points"): add,
    ("POST", "/console/points/{id}/revoke"): revoke,
    ("GET", "/console/points/{id}/poster"): print_poster,
}
