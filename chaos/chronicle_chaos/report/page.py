"""`report.html`: one file, no script, nothing loaded from elsewhere, every text of the run escaped."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from chronicle_chaos.record.history import History
from chronicle_chaos.record.journal import Journal, ScenarioRecord
from chronicle_chaos.report import charts
from chronicle_chaos.report.rows import Row, row
from chronicle_chaos.report.series import Series, all_series

# A sign besides colour and word, for a glance; screen readers get the word alone.
GLYPHS = {"Passed": "✓", "Failed": "✕", "Inconclusive": "?", "NotApplicable": "-", "Aborted": "■"}

LATENCIES = (
    ("before the fault", "baselineLatencyMilliseconds"),
    ("under the fault", "faultLatencyMilliseconds"),
    ("after recovery", "recoveredLatencyMilliseconds"),
)


@dataclass(frozen=True, slots=True)
class Panel:
    """The charts of one series, laid out for a wide page and for a phone, and what they show in words."""

    ident: str
    title: str
    throughput_wide: charts.Chart
    throughput_narrow: charts.Chart
    latency_wide: charts.Chart
    latency_narrow: charts.Chart
    throughput_words: str
    latency_words: str
    rows: tuple[tuple[Any, Any], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One scenario on the page."""

    anchor: str
    record: ScenarioRecord
    row: Row
    panels: tuple[Panel, ...]
    latencies: tuple[tuple[str, Mapping[str, Any]], ...]


def render(journal: Journal, histories: Mapping[str, History]) -> str:
    """The page. A scenario without a history has no charts, and says so."""
    environment = Environment(
        loader=PackageLoader("chronicle_chaos.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(words=words, spaced=spaced, figure=figure, moment=moment, clock=clock)
    style = (files("chronicle_chaos.report") / "templates" / "report.css").read_text(encoding="utf-8")
    return environment.get_template("report.html.j2").render(
        journal=journal,
        scenarios=[_section(n, record, histories.get(record.name)) for n, record in enumerate(journal.scenarios, 1)],
        headline=headline(journal),
        subline=subline(journal),
        glyphs=GLYPHS,
        took=took,
        style=Markup(style),  # noqa: S704 - a file of this package, not of the run
    )


def headline(journal: Journal) -> str:
    """The outcome in one line; what was not applicable is not counted as if it had run."""
    counts = Counter(r.verdict for r in journal.scenarios)
    ran = len(journal.scenarios) - counts["NotApplicable"]
    if not ran:
        return "No scenario ran"
    return f"{counts['Passed']} of {ran} scenarios passed" if ran > 1 else f"The scenario {_outcome(journal)}"


def subline(journal: Journal) -> str:
    """What the headline leaves out."""
    counts = Counter(r.verdict for r in journal.scenarios)
    parts = [f"{counts[v]} {words(v).lower()}" for v in GLYPHS if v != "Passed" and counts[v]]
    acknowledged = sum(r.acknowledged_writes for r in journal.scenarios if r.fault_window)
    known = [r.lost_writes for r in journal.scenarios if r.fault_window]
    lost = "unknown how many" if None in known else f"{sum(n for n in known if n is not None):,}"
    writes = f"{acknowledged:,} writes were acknowledged under load, {lost} of them lost." if known else ""
    return " ".join(filter(None, [f"{', '.join(parts).capitalize()}." if parts else "", writes]))


def _outcome(journal: Journal) -> str:
    verdict = next(r.verdict for r in journal.scenarios if r.verdict != "NotApplicable")
    return {"Passed": "passed", "Failed": "failed", "Aborted": "was aborted"}.get(verdict, "is inconclusive")


def _section(number: int, record: ScenarioRecord, history: History | None) -> Section:
    found = [(label, record.figures[key]) for label, key in LATENCIES if isinstance(record.figures.get(key), dict)]
    series = all_series(history) if history is not None else ()
    panels = tuple(_panel(f"s{number}-{n}", one) for n, one in enumerate(series, 1))
    # Numbered, since a name of the run is no safe anchor.
    return Section(f"scenario-{number}", record, row(record), panels, tuple(found))


def _panel(ident: str, series: Series) -> Panel:
    title = "Through the load balancer" if series.name == "lb" else f"Straight to {series.name}"
    total = series.total
    slowest = max((one.max for one in series.latency if one is not None), default=None)
    when = ", ".join(f"{m.name} at {m.at:.1f} s" for m in series.marks)
    return Panel(
        ident, title,
        charts.throughput(series, charts.WIDE), charts.throughput(series, charts.NARROW),
        charts.latency(series, charts.WIDE), charts.latency(series, charts.NARROW),
        f"{total.ok} ok, {total.info} info and {total.fail} fail in {series.seconds} seconds, at most {series.busiest}"
        f" a second. Fault: {when or 'none'}.",
        f"Slowest answer {'unknown' if slowest is None else _duration(round(slowest))}. Fault: {when or 'none'}.",
        tuple(zip(series.counts, series.latency, strict=True)),
    )  # fmt: skip


def words(name: str) -> str:
    """`NotApplicable` as `Not applicable`."""
    return re.sub(r"(?<=[a-z])([A-Z])", lambda m: " " + m[1].lower(), name)


def spaced(name: str) -> str:
    """`longestGapMilliseconds` as `longest gap milliseconds`."""
    return re.sub(r"(?<=[a-z])([A-Z])", r" \1", name).lower()


def figure(value: object) -> str:
    """A figure of a check as text."""
    if value is None:
        return "unknown"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return ", ".join(map(figure, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)


def moment(text: str | None) -> str:
    """An RFC 3339 time for people, to the second."""
    return "unknown" if text is None else text[:19].replace("T", " ")


def clock(text: str | None) -> str:
    """The time of day of an RFC 3339 time."""
    return "unknown" if text is None else text[11:19]


def took(begin: str | None, end: str | None) -> str:
    """The time between two RFC 3339 times; they come from one clock, so they tell it exactly."""
    if begin is None or end is None:
        return "not ended"
    seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()
    return _duration(max(0, round(seconds * 1000)))


def _duration(milliseconds: int) -> str:
    """A single moment or latency in a sentence, where nothing stands beside it to be compared with."""
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    if milliseconds < 120_000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds // 60_000} min {milliseconds % 60_000 // 1000} s"
