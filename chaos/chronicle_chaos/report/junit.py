"""`junit.xml`, for continuous integration: one test case a scenario.

Passed is a success and Failed a failure. Inconclusive and Aborted are errors, because a system that counted them as
passed would show green for what nobody knows. NotApplicable is skipped. The form is the one that Jenkins and GitLab
read (https://github.com/testmoapp/junitxml describes it).
"""

from __future__ import annotations

import re
from datetime import datetime
from xml.etree import ElementTree as ET

from chronicle_chaos.record.journal import Journal, ScenarioRecord

OUTCOMES = {"Failed": "failure", "Inconclusive": "error", "Aborted": "error", "NotApplicable": "skipped"}

# What XML 1.0 cannot hold, not even escaped (https://www.w3.org/TR/xml/#charsets).
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(journal: Journal) -> bytes:
    """The document, in UTF-8."""
    elements = [_case(record) for record in journal.scenarios]
    counts = {
        "tests": len(elements),
        "failures": sum(e.find("failure") is not None for e in elements),
        "errors": sum(e.find("error") is not None for e in elements),
        "skipped": sum(e.find("skipped") is not None for e in elements),
    }
    total = {name: str(value) for name, value in counts.items()}
    total["time"] = _seconds(journal.start_time, journal.completion_time)
    root = ET.Element("testsuites", {"name": "chronicle scenarios", **total})
    suite = ET.SubElement(
        root, "testsuite", {"name": _clean(journal.run_id), "timestamp": _clean(journal.start_time[:19]), **total}
    )
    properties = ET.SubElement(suite, "properties")
    facts = {"seed": str(journal.seed), "rate": f"{journal.rate:g}", "target": journal.target.kind}
    facts |= {"database": journal.target.database, "sabotage": journal.sabotage or ""} | dict(journal.versions)
    for name, value in facts.items():
        ET.SubElement(properties, "property", {"name": _clean(name), "value": _clean(value)})
    suite.extend(elements)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _case(record: ScenarioRecord) -> ET.Element:
    case = ET.Element(
        "testcase",
        {
            "classname": "chronicle.scenarios",
            "name": _clean(record.name),
            "time": _seconds(record.start_time, record.completion_time),
        },
    )
    # A verdict that this module does not know is no success either.
    kind = None if record.verdict == "Passed" else OUTCOMES.get(record.verdict, "error")
    if kind is not None:
        outcome = ET.SubElement(case, kind, {"type": _clean(record.reason), "message": _clean(record.message)})
        outcome.text = _clean("\n".join(f"{c.result}: {c.name}: {c.message}" for c in record.checks))
    if record.cleanup.result == "CleanupFailed":
        ET.SubElement(case, "system-err").text = _clean(f"cleanup failed: {record.cleanup.message}")
    return case


def _seconds(begin: str | None, end: str | None) -> str:
    if begin is None or end is None:
        return "0"
    return f"{(datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds():.3f}"


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
