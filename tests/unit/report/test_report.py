"""The report of a recorded run. `UPDATE_GOLDEN=1` writes the expected files anew: look at the difference then."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from rich.console import Console

from chronicle_chaos.record.history import read_histories
from chronicle_chaos.record.journal import Journal, ScenarioRecord, TargetRecord, read_journal, write_journal
from chronicle_chaos.report import charts, junit, page, write_report
from chronicle_chaos.report.findings import findings, listing
from chronicle_chaos.report.series import all_series
from chronicle_chaos.report.table import plain_table, rich_table
from support.recorded_run import write_recorded_run

GOLDEN = Path(__file__).parents[2] / "golden"
HOSTILE = "</title></style><script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{ 7*7 }} \x00"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A copy of the recorded run."""
    return Path(shutil.copytree(GOLDEN / "run", tmp_path / "run"))


def compare(name: str, found: str) -> None:
    expected = GOLDEN / "report" / name
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8"), f"{name} has changed; UPDATE_GOLDEN=1 writes it anew"


def test_the_recorded_run_is_what_its_generator_writes(tmp_path: Path) -> None:
    write_recorded_run(tmp_path)
    for name in ("journal.json", "history.jsonl"):
        assert (tmp_path / name).read_bytes() == (GOLDEN / "run" / name).read_bytes()


def test_the_report_of_the_recorded_run_is_the_one_that_was_looked_at(run: Path) -> None:
    written = write_report(run)
    assert {path.name for path in written} == {"report.html", "junit.xml", "timeline.png"}
    compare("report.html", (run / "report.html").read_text(encoding="utf-8"))
    compare("junit.xml", (run / "junit.xml").read_text(encoding="utf-8"))
    histories = read_histories(run / "history.jsonl")
    records = read_journal(run).scenarios
    lines = listing({r.name: found for r in records if (found := findings(r, histories.get(r.name)))})
    compare("table.txt", plain_table(records) + "\n" + "\n".join(lines) + "\n")
    series = {name: all_series(history) for name, history in histories.items()}
    compare("series.json", msgspec.json.format(msgspec.json.encode(series)).decode() + "\n")


def test_every_operation_of_a_client_is_counted_once(run: Path) -> None:
    for history in read_histories(run / "history.jsonl").values():
        drawn = sum(one.total.total for one in all_series(history))
        assert drawn == len(history.clients) > 0


def test_a_stall_shows_in_the_second_in_which_requests_were_meant_to_begin(run: Path) -> None:
    lb, *regions = all_series(read_histories(run / "history.jsonl")["network-partition"])
    stalled, before = lb.latency[7], lb.latency[4]
    assert stalled is not None
    assert before is not None
    assert stalled.p50 > 3000 > 100 > before.max
    assert [one.name for one in regions] == ["region-a", "region-b"]
    assert regions[1].total.ok == 0


def test_the_moments_of_the_fault_are_lines_of_their_own(run: Path) -> None:
    lb = all_series(read_histories(run / "history.jsonl")["nats-outage"])[0]
    chart = charts.throughput(lb, charts.WIDE)
    assert [line.name for line in chart.lines] == ["injected", "proven", "healed", "steady"]
    assert len({line.at for line in chart.lines}) == 4
    assert chart.shade is not None
    assert chart.shade[0] == chart.lines[0].at


def test_each_verdict_has_its_junit_outcome() -> None:
    verdicts = {"Passed": None, "Failed": "failure", "Inconclusive": "error", "Aborted": "error",
                "NotApplicable": "skipped"}  # fmt: skip
    journal = a_journal(*(ScenarioRecord(v, v, verdict=v, reason="R") for v in verdicts))
    root = ET.fromstring(junit.render(journal))  # noqa: S314 - written a line above
    for case in root.iter("testcase"):
        outcomes = [child.tag for child in case]
        assert outcomes == ([verdicts[case.attrib["name"]]] if verdicts[case.attrib["name"]] else [])
    suite = root.find("testsuite")
    assert suite is not None
    assert [suite.attrib[n] for n in ("tests", "failures", "errors", "skipped")] == ["5", "1", "2", "1"]


def test_a_verdict_that_nobody_knows_is_no_success() -> None:
    root = ET.fromstring(junit.render(a_journal(ScenarioRecord("x", "x", verdict="Splendid"))))  # noqa: S314
    assert root.find(".//testcase/error") is not None


def test_nothing_of_the_run_becomes_markup(run: Path) -> None:
    text = (run / "journal.json").read_text(encoding="utf-8")
    hostile = msgspec.json.encode(HOSTILE).decode()[1:-1]
    spoiled = re.sub(r'("(?:message|title|before|after|subject|reason|url|runID|acknowledged)": )("[^"]*"|178)',
                     lambda m: f'{m[1]}"{hostile}"', text)  # fmt: skip
    assert spoiled.count(hostile) > 20
    (run / "journal.json").write_text(spoiled, encoding="utf-8")
    write_report(run)
    found = Tags()
    found.feed((run / "report.html").read_text(encoding="utf-8"))
    assert not found.names & {"script", "img", "iframe", "object", "embed", "form", "base"}
    assert not [name for name in found.attributes if name.startswith("on")]
    assert "49" not in found.text_of_title
    ET.fromstring((run / "junit.xml").read_bytes())  # noqa: S314 - still a document


def test_the_page_loads_nothing(run: Path) -> None:
    write_report(run)
    text = (run / "report.html").read_text(encoding="utf-8")
    found = Tags()
    found.feed(text)
    assert found.links
    assert all(link.startswith("#") or link == "data:," for link in found.links)
    assert "url(http" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_a_scenario_that_did_not_run_shows_no_figures(run: Path) -> None:
    rows = plain_table(read_journal(run).scenarios).splitlines()
    absent = next(line for line in rows if line.startswith("cockroach-node-failure"))
    assert absent.split() == ["cockroach-node-failure", "-", "-", "-", "-", "-", "NotApplicable"]
    assert page.headline(read_journal(run)) == "1 of 3 scenarios passed"


def test_a_run_of_nothing_applicable_is_not_called_passed() -> None:
    journal = a_journal(ScenarioRecord("x", "x", verdict="NotApplicable"))
    assert page.headline(journal) == "No scenario ran"


def test_a_run_without_a_history_has_a_report_and_no_picture(tmp_path: Path) -> None:
    write_journal(tmp_path, a_journal(ScenarioRecord("x", "x")))
    assert {path.name for path in write_report(tmp_path)} == {"report.html", "junit.xml"}
    assert "not ended" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_terminals_table_says_what_the_plain_one_says(run: Path) -> None:
    journal = read_journal(run)
    console = Console(width=140, no_color=True, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print(rich_table(journal.scenarios))
    assert console.export_text().split() == plain_table(journal.scenarios).split()
    console.file.close()


def test_the_picture_is_a_png(run: Path) -> None:
    write_report(run)
    assert (run / "timeline.png").read_bytes().startswith(b"\x89PNG\r\n")


FRAME = """<!doctype html>
<iframe id=f src=report.html style='width:WIDTHpx;height:900px;border:0;color-scheme:SCHEME'></iframe><pre id=o></pre>
<script>
const light = c => c.match(/[0-9.]+/g).slice(0, 3).map(v => v / 255)
  .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
  .reduce((sum, v, n) => sum + v * [.2126, .7152, .0722][n], 0)
const clear = c => c === 'transparent' || /, 0\\)$/.test(c)
onload = () => {
  const d = f.contentDocument, w = f.contentWindow, page = d.scrollingElement
  const behind = e => { while (e && clear(w.getComputedStyle(e).backgroundColor)) e = e.parentElement
    return w.getComputedStyle(e ?? d.body).backgroundColor }
  const contrast = e => { const [a, b] = [light(w.getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x)
    return (a + .05) / (b + .05) }
  const texts = [...d.body.querySelectorAll('*')].filter(e => !e.closest('svg') && e.getClientRects().length
    && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
  o.textContent = JSON.stringify({
    inner: w.innerWidth, wide: page.scrollWidth <= page.clientWidth,
    charts: [...d.querySelectorAll('svg')].filter(e => e.getBoundingClientRect().width > 200).length,
    h1: d.querySelector('h1').textContent, bad: d.querySelectorAll('script').length,
    dark: light(w.getComputedStyle(d.body).backgroundColor) < .1,
    unreadable: texts.filter(e => contrast(e) < 4.5).map(e => `${e.tagName}.${e.className}: ${contrast(e)}`),
  })
}
</script>
"""
"""A page around the report measures it; the report itself has no script, and its policy would not let one run. A frame
is as narrow as a phone, which no browser's window is, and its content follows the frame's colour scheme (CSS Color
Adjustment, level 1). 4.5 is the contrast that WCAG 2 asks of text."""


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (360, "light"), (360, "dark")])
def test_a_browser_shows_the_page_readably_and_without_sideways_scrolling(run: Path, width: int, scheme: str) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium on PATH (Debian: apt-get install chromium)")
    write_report(run)
    frame = run / "frame.html"
    frame.write_text(FRAME.replace("WIDTH", str(width)).replace("SCHEME", scheme), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
             "--disable-dev-shm-usage", "--allow-file-access-from-files", f"--user-data-dir={run / 'profile'}",
             "--window-size=1280,1000"]  # fmt: skip
    # The budget is the browser's own time: what loads on a busy machine still loads before the page is printed.
    done = subprocess.run(
        [chromium, *flags, "--virtual-time-budget=10000", "--dump-dom", frame.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    found = re.search(r'<pre id="o">(.*?)</pre>', done.stdout)
    assert found is not None, done.stdout[-500:]
    # Two scenarios, one of them with two regions: four panels of two charts; the layout that is not shown has no width.
    assert msgspec.json.decode(found[1]) == {
        "inner": width, "wide": True, "charts": 8, "h1": "1 of 3 scenarios passed", "bad": 0,
        "dark": scheme == "dark", "unreadable": [],
    }  # fmt: skip


class Tags(HTMLParser):
    """What a parser, not a pattern, finds in a page."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.text_of_title = ""
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.links.extend(value or "" for name, value in attrs if name in {"href", "src", "xlink:href"})
        self._in_title = tag == "title"

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.text_of_title += data
            self._in_title = False


def a_journal(*scenarios: ScenarioRecord) -> Journal:
    target = TargetRecord("local", "postgresql", "http://127.0.0.1:1")
    return Journal("run", "2026-03-01T12:00:00.000Z", target, 1, 60.0, scenarios=list(scenarios))
