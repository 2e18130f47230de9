"""From a series to the geometry of an SVG chart: scales, ticks, bars and lines as numbers. The template draws them.

Each chart is laid out twice, for a wide page and for a phone, because an SVG that merely shrinks takes its letters
along.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chronicle_chaos.report.series import Series

LATENCY_FLOOR = 1.0
"""The lowest millisecond of the logarithmic axis; what is faster is drawn there."""

OUTCOMES = ("ok", "info", "fail")
QUANTILES = ("p50", "p95", "p99", "max")


@dataclass(frozen=True, slots=True)
class Frame:
    """The plot's rectangle within a picture of `width` by `height` (pixels at 1:1)."""

    width: float
    height: float
    left: float = 46
    right: float = 12
    top: float = 30
    bottom: float = 24

    @property
    def x1(self) -> float:
        """The right edge of the plot."""
        return self.width - self.right

    @property
    def y1(self) -> float:
        """The lower edge of the plot."""
        return self.height - self.bottom


WIDE = Frame(860, 210)
NARROW = Frame(350, 220, left=48, right=6)


@dataclass(frozen=True, slots=True)
class Tick:
    """A grid line at `at` with its label."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """A vertical line of the fault: injected, proven, healed, steady. `row` keeps close labels apart."""

    name: str
    at: float
    seconds: float
    row: int
    anchor: str


@dataclass(frozen=True, slots=True)
class Shape:
    """An SVG path with the class that colours it."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Chart:
    """All that the template needs. `shade` is the fault window's left edge and width."""

    frame: Frame
    unit: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    shapes: tuple[Shape, ...]
    lines: tuple[Line, ...]
    shade: tuple[float, float] | None


def throughput(series: Series, frame: Frame) -> Chart:
    """Stacked bars, one a second: ok at the bottom, then info, then fail."""
    top = nice_ceiling(series.busiest)
    x, y = _scale(series, frame), _linear(frame, top)
    # Whole pixels with a hair between the bars while there is room, none where bars are thin.
    room = (frame.x1 - frame.left) / max(1, series.seconds)
    gap = 0.8 if room > 4 else 0.0
    paths: dict[str, list[str]] = {name: [] for name in OUTCOMES}
    for second, counts in enumerate(series.counts):
        base = 0
        for name in OUTCOMES:
            value = getattr(counts, name)
            if value:
                low, high = y(base), y(base + value)
                paths[name].append(f"M{x(second):.1f} {low:.1f}V{high:.1f}h{room - gap:.2f}V{low:.1f}z")
            base += value
    shapes = tuple(Shape(name, "".join(parts)) for name, parts in paths.items() if parts)
    ticks = tuple(Tick(y(value), f"{value:g}") for value in (0, top / 2, top))
    return Chart(frame, "requests/s", _seconds(series, frame), ticks, shapes, _lines(series, frame), _shade(series, x))


def latency(series: Series, frame: Frame) -> Chart:
    """Four lines on a logarithmic axis; a second in which nothing was asked breaks them."""
    found = [one for one in series.latency if one is not None]
    highest = max((one.max for one in found), default=LATENCY_FLOOR)
    decades = max(1, math.ceil(math.log10(max(highest, LATENCY_FLOOR * 10) / LATENCY_FLOOR)))
    x = _scale(series, frame)

    def y(milliseconds: float) -> float:
        share = math.log10(max(milliseconds, LATENCY_FLOOR) / LATENCY_FLOOR) / decades
        return frame.y1 - share * (frame.y1 - frame.top)

    shapes = []
    for name in QUANTILES:
        path, pen_down = [], False
        for second, one in enumerate(series.latency):
            if one is None:
                pen_down = False
                continue
            path.append(f"{'L' if pen_down else 'M'}{x(second + 0.5):.1f} {y(getattr(one, name)):.1f}")
            if not pen_down:
                path.append("m-2 0h4m-2 0")  # a lone second between two without requests must show all the same
            pen_down = True
        if path:
            shapes.append(Shape(name, "".join(path)))
    ticks = tuple(Tick(y(LATENCY_FLOOR * 10**n), _milliseconds(LATENCY_FLOOR * 10**n)) for n in range(decades + 1))
    shade = _shade(series, x)
    return Chart(frame, "latency", _seconds(series, frame), ticks, tuple(shapes), _lines(series, frame), shade)


def nice_ceiling(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten; at least 2, so that half of it is a whole number."""
    if value <= 2:
        return 2
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 3, 4, 5, 6, 8, 10) if step * power >= value)


def _scale(series: Series, frame: Frame) -> Callable[[float], float]:
    each = (frame.x1 - frame.left) / max(1, series.seconds)
    return lambda second: frame.left + second * each


def _linear(frame: Frame, top: float) -> Callable[[float], float]:
    return lambda value: frame.y1 - value / top * (frame.y1 - frame.top)


def _seconds(series: Series, frame: Frame) -> tuple[Tick, ...]:
    """Round seconds, at least some 60 pixels apart."""
    x = _scale(series, frame)
    wanted = series.seconds * 60 / (frame.x1 - frame.left)
    step = next((s for s in (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600) if s >= wanted), 1200)
    return tuple(Tick(x(s), f"{s} s") for s in range(0, series.seconds + 1, step))


def _shade(series: Series, x: Callable[[float], float]) -> tuple[float, float] | None:
    if series.fault is None:
        return None
    begin, end = series.fault
    return x(begin), max(1.0, x(end) - x(begin))


def _lines(series: Series, frame: Frame) -> tuple[Line, ...]:
    x = _scale(series, frame)
    lines: list[Line] = []
    free: Sequence[float] = [-math.inf, -math.inf]  # how far each row of labels is taken
    taken = list(free)
    for mark in sorted(series.marks, key=lambda m: m.at):
        at, long = x(mark.at), 7.0 * len(mark.name)
        end_side = at + long > frame.width
        begin = at - long if end_side else at
        row = 0 if begin > taken[0] else 1
        taken[row] = begin + long + 6
        lines.append(Line(mark.name, at, mark.at, row, "end" if end_side else "start"))
    return tuple(lines)


def _milliseconds(value: float) -> str:
    return f"{value:g} ms" if value < 1000 else f"{value / 1000:g} s"
