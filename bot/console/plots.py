"""Figures drawn as SVG on the server: shapes and words with classes, no style of their own and no script.

In a right-to-left page the drawing is mirrored; its words are set by the browser. Each has its table beside it, which
is what screen readers read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from bot import i18n
from bot.conversation.figures import Figure
from bot.orientation.report import HIDDEN

WIDTH, LABEL, LINE = 640, 220, 26
LONGEST = 30  # characters of a label
HEIGHT = 170  # of columns and lines
MARKS = ("M-4-4h8v8h-8z", "M0-5L5 4H-5z", "M-5 0L0-5L5 0L0 5z")  # each series has its own, not its colour alone


def drawn(figure: Figure, rtl: bool, say: Callable[..., str]) -> str:
    """The figure as an SVG element; nothing where there is nothing to draw."""
    if not figure.plot or not any(value is not None for row in figure.rows for value in row.values):
        return ""
    labels = [row.said(say) for row in figure.rows]
    pen = _Pen(rtl)
    if figure.plot == "columns":
        height = _columns(pen, figure, labels)
    elif figure.plot == "lines":
        height = _lines(pen, figure, labels, [say(head) for head in figure.heads])
    else:
        height = _bars(pen, figure, labels, [say(head) for head in figure.heads])
    return f'<svg viewBox="0 0 {WIDTH} {height}" aria-hidden="true" focusable="false">{"".join(pen.parts)}</svg>'


class _Pen:
    """Draws from the side where reading begins."""

    def __init__(self, rtl: bool) -> None:
        self.rtl = rtl
        self.parts: list[str] = []

    def bar(self, series: int, x: float, y: float, width: float, height: float) -> None:
        left = WIDTH - x - width if self.rtl else x
        self.parts.append(
            f'<rect class="s{series}" x="{left:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2"/>'
        )

    def words(self, said: str, x: float, y: float, anchor: str = "start") -> None:
        self.parts.append(f'<text x="{self.at(x):.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(said)}</text>')

    def line(self, series: int, points: Sequence[tuple[float, float]]) -> None:
        path = " ".join(f"{self.at(x):.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline class="l{series}" points="{path}"/>')
        self.parts += [
            f'<path class="s{series}" transform="translate({self.at(x):.1f} {y:.1f})" d="{MARKS[series]}"/>'
            for x, y in points
        ]

    def at(self, x: float) -> float:
        return WIDTH - x if self.rtl else x


def _most(figure: Figure) -> float:
    return max((value for row in figure.rows for value in row.values if value is not None), default=1) or 1


def _told(value: float | None) -> str:
    return i18n.LRI + HIDDEN + i18n.PDI if value is None else f"{value:g}"


def _bars(pen: _Pen, figure: Figure, labels: Sequence[str], heads: Sequence[str]) -> float:
    scale, y = (WIDTH - LABEL - 60) / _most(figure), 0.0
    if len(heads) > 1:
        y = _legend(pen, heads)
    thick = LINE - 8 if len(heads) == 1 else 15
    for label, row in zip(labels, figure.rows, strict=True):
        pen.words(label if len(label) <= LONGEST else label[: LONGEST - 1] + "…", 0, y + 18)
        for series, value in enumerate(row.values):
            top = y + 4 + series * (thick + 1)
            if value is not None:
                pen.bar(series, LABEL, top, max(value * scale, 1), thick)
            pen.words(_told(value), LABEL + 6 + (value or 0) * scale, top + thick - 3)
        y += max(LINE, len(heads) * (thick + 1) + 10)
    return y


def _legend(pen: _Pen, heads: Sequence[str]) -> float:
    for series, head in enumerate(heads):
        x = series * (WIDTH / len(heads))
        pen.parts.append(
            f'<path class="s{series}" transform="translate({pen.at(x + 8):.1f} 12)" d="{MARKS[series % len(MARKS)]}"/>'
        )
        pen.words(head, x + 20, 17)
    return 30


def _columns(pen: _Pen, figure: Figure, labels: Sequence[str]) -> float:
    room, most = WIDTH / max(len(labels), 1), _most(figure)
    for number, (label, row) in enumerate(zip(labels, figure.rows, strict=True)):
        value, x = row.values[0], number * room
        tall = (value or 0) / most * (HEIGHT - 60)
        if value is not None:
            pen.bar(0, x + room * 0.15, HEIGHT - 30 - tall, room * 0.7, tall)
        pen.words(_told(value), x + room / 2, HEIGHT - 36 - tall, "middle")
        if len(labels) <= 16 or number % 4 == 0:
            pen.words(label, x + room / 2, HEIGHT - 10, "middle")
    return HEIGHT


def _lines(pen: _Pen, figure: Figure, labels: Sequence[str], heads: Sequence[str]) -> float:
    """From 0 to 1, one line for each column of the table."""
    top = _legend(pen, heads)
    room, tall = WIDTH / max(len(labels), 1), HEIGHT - 30
    for number, label in enumerate(labels):
        pen.words(label, (number + 0.5) * room, top + tall + 20, "middle")
    for series in range(len(heads)):
        points = [
            ((number + 0.5) * room, top + 8 + (1 - value) * (tall - 16))
            for number, row in enumerate(figure.rows)
            if (value := row.values[series]) is not None
        ]
        pen.line(series, points)
    return top + tall + 30
