"""`timeline.png`: throughput and latency of every scenario in one picture, by matplotlib without a display.

Figures follow Jepsen's: stacked throughput by completion, latency on a logarithmic axis, the fault shaded and each of
its moments a line of its own.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from chronicle_chaos.files import write_whole
from chronicle_chaos.record.history import History
from chronicle_chaos.record.journal import Journal, ScenarioRecord
from chronicle_chaos.report.series import Series, all_series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OUTCOME_COLOURS = {"ok": "#4a90c8", "info": "#e09f1f", "fail": "#b02a6b"}
QUANTILE_STYLES = {"p50": ("#7aa7cf", "-"), "p95": ("#2f6ea6", "-"), "p99": ("#8a4fa0", "--"), "max": ("#b02a6b", ":")}
MARK_STYLES = {"injected": "-", "proven": "--", "healed": "-.", "steady": ":"}


def draw(journal: Journal, histories: Mapping[str, History], path: Path) -> bool:
    """Write the picture. Returns False, and writes nothing, where no client sent anything.

    Raises ImportError without matplotlib (it is in the extra `local`; the container image leaves it out).
    """
    # The backend is chosen by using its canvas, so nothing global is set for whoever else draws in this process.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = [(r, all_series(histories[r.name])) for r in journal.scenarios if r.name in histories]
    drawn = [(record, series[0]) for record, series in found if series]
    if not drawn:
        return False
    figure = Figure(figsize=(9, 4.2 * len(drawn)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2 * len(drawn), 1, squeeze=False)[:, 0]
    for number, (record, series) in enumerate(drawn):
        _throughput(axes[2 * number], record, series)
        _latency(axes[2 * number + 1], series)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    write_whole(path, picture.getvalue())
    return True


def _throughput(axes: Axes, record: ScenarioRecord, series: Series) -> None:
    middles = [second + 0.5 for second in range(series.seconds)]
    base = [0] * series.seconds
    for name, colour in OUTCOME_COLOURS.items():
        values = [getattr(c, name) for c in series.counts]
        hatch = "////" if name == "fail" else None
        axes.bar(middles, values, 0.92, bottom=base, color=colour, label=name, hatch=hatch, edgecolor="white", lw=0)
        base = [a + b for a, b in zip(base, values, strict=True)]
    axes.set_title(f"{record.name}: {record.verdict}", loc="left", fontweight="bold", parse_math=False)
    axes.set_ylabel("requests/s")
    _common(axes, series)


def _latency(axes: Axes, series: Series) -> None:
    middles = [second + 0.5 for second in range(series.seconds)]
    highest = [1.0]
    for name, (colour, style) in QUANTILE_STYLES.items():
        values = [float("nan") if one is None else max(1.0, getattr(one, name)) for one in series.latency]
        highest.extend(v for v in values if v == v)  # nan is what differs from itself
        axes.plot(middles, values, style, color=colour, label=name, lw=1.4)
    axes.set_yscale("log")
    axes.set_ylabel("latency, ms")
    axes.set_xlabel("seconds")
    axes.set_ylim(1.0, max(10.0, max(highest) * 1.5))
    _common(axes, series)


def _common(axes: Axes, series: Series) -> None:
    axes.set_xlim(0, series.seconds)
    if series.fault is not None:
        axes.axvspan(*series.fault, color="#000000", alpha=0.07, lw=0)
    for mark in series.marks:
        axes.axvline(mark.at, color="#1d1f23", lw=1, ls=MARK_STYLES[mark.name], label=mark.name)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8, frameon=False)
