"""Somebody may be in danger: words of care, the right numbers, a person. Nothing quoted back, nothing probed."""

from __future__ import annotations

from bot.assistant.triage import Cue
from bot.journeys import handoff
from bot.journeys.context import Context
from bot.journeys.hours import when_somebody_reads

SITUATIONS = {
    "danger_now": "danger",
    "suicidal": "suicidal",
    "child_alone": "child",
    "medical_urgent": "medical",
    "violence": "violence",
}


async def respond(ctx: Context, cue: Cue, silently: bool = False) -> None:
    """Answer a cue at once and record that a person is needed, with its priority; a form in progress is kept."""
    reference = await handoff.record(ctx, f"cue:{cue.name}", cue.priority)
    if silently:
        return
    choices = []
    if cue.name in SITUATIONS:
        choices = [
            ctx.do(f"emergency.{code}", "emergency_numbers", country=code, situation=SITUATIONS[cue.name])
            for code in ("MA", "MR", "other")
        ]
    ctx.say(f"care.{cue.name}", choices)
    ctx.say(
        "care.person",
        reference=reference,
        when=when_somebody_reads(ctx.settings.rafiq_reading_hours, ctx.now, ctx.language),
    )
