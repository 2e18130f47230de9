"""The report of a run: a page, a picture, a JUnit file and a table, from `journal.json` and `history.jsonl` alone."""

from __future__ import annotations

from pathlib import Path

from chronicle_chaos.files import write_whole
from chronicle_chaos.record.history import read_histories
from chronicle_chaos.record.journal import read_journal


def write_report(run_dir: Path) -> tuple[Path, ...]:
    """Write `report.html`, `junit.xml` and `timeline.png` into the run's folder and return what was written.

    The picture is left out where there is nothing to draw and where matplotlib is not installed (the container image
    leaves it out; the page draws its own charts). Raises UnreadableRun where the folder holds no run.
    """
    # Templates and XML only when asked for: whoever imports the table alone should not wait.
    from chronicle_chaos.report import junit, page, timeline

    journal = read_journal(run_dir)
    # A run that was stopped before its first scenario has a journal and no history.
    history = run_dir / "history.jsonl"
    histories = read_histories(history) if history.exists() else {}
    written = [run_dir / "report.html", run_dir / "junit.xml"]
    write_whole(written[0], page.render(journal, histories).encode("utf-8"))
    write_whole(written[1], junit.render(journal))
    picture = run_dir / "timeline.png"
    try:
        if timeline.draw(journal, histories, picture):
            written.append(picture)
    except ImportError:
        picture.unlink(missing_ok=True)  # an older one would show another judgement
    return tuple(written)
