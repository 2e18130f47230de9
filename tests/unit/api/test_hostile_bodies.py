"""No body holds the event loop: decoding takes a time that grows with the body's size and no faster."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from chronicle_ledger.api import accounts, batch, transactions, transfers
from chronicle_ledger.web import json_text
from chronicle_ledger.web.bodies import Body, check_metadata
from chronicle_ledger.web.problems import CATALOGUE, Problem

MIB = 1 << 20
CPU_SECONDS = 0.05


def filled(before: bytes, piece: bytes, after: bytes, between: bytes = b"", size: int = MIB) -> bytes:
    """As many pieces as fit into `size`."""
    room = size - len(before) - len(after)
    return before + between.join([piece] * (room // (len(piece) + len(between)))) + after


def named(count: int, last: str, size: int = MIB) -> bytes:
    """An account whose metadata has `count` members and then `last`."""
    members = ",".join([f'"{number:06x}":0' for number in range(count)])
    return f'{{"currency":"EUR","metadata":{{{members},"{last}":0}}}}'.encode()[:size]


IN_METADATA = b'{"currency":"EUR","metadata":{"a":'
ENTRY = f'{{"account_id":"{uuid.UUID(int=1)}","amount":1}}'.encode()

SHAPES: dict[str, bytes] = {
    "many members, one twice": named(95_000, "000000"),
    "as many members as are allowed, one twice": named(49_990, "000000"),
    "as many members as are allowed": named(49_990, "last"),
    "as many members as an account may have": named(11_990, "last"),
    "objects in a list": filled(IN_METADATA + b"[", b"{}", b"]}}", b","),
    "as many objects as are allowed": filled(IN_METADATA + b"[", b'{"a":0}', b"]}}", b",", size=200_000),
    "deep nesting": IN_METADATA + b"[" * (MIB // 2) + b"]" * (MIB // 2) + b"}}",
    "deep objects": IN_METADATA + b'{"a":' * 170_000 + b"0" + b"}" * 170_000 + b"}}",
    "lists in lists": filled(IN_METADATA + b"[", b"[[[[[[[]]]]]]]", b"]}}", b","),
    "one string": filled(IN_METADATA + b'"', b"x", b'"}}'),
    "one name": filled(b'{"currency":"EUR","metadata":{"', b"x", b'":0}}'),
    "an unknown member with a long name": filled(b'{"currency":"EUR","', b"x", b'":0}'),
    "one number": filled(IN_METADATA, b"9", b"}}"),
    "numbers of 4,000 digits": filled(IN_METADATA + b"[", b"9" * 4000, b"]}}", b","),
    "numbers of 400 digits": filled(IN_METADATA + b"[", b"9" * 400, b"]}}", b","),
    "fractions": filled(IN_METADATA + b"[", b"0." + b"9" * 390, b"]}}", b","),
    "escapes of letters": filled(IN_METADATA + b'"', b"\\u0041", b'"}}'),
    "escapes of quotes": filled(IN_METADATA + b'"', b'\\"', b'"}}'),
    "escapes of backslashes": filled(IN_METADATA + b'"', b"\\\\", b'"}}'),
    "NUL": filled(IN_METADATA + b'"', b"\\u0000", b'"}}'),
    "emoji": filled(IN_METADATA + b'"', "\U0001f600".encode(), b'"}}'),
    "emoji as pairs of escapes": filled(IN_METADATA + b'"', b"\\ud83d\\ude00", b'"}}'),
    "numbers in a list": filled(IN_METADATA + b"[", b"0", b"]}}", b","),
    "strings in a list": filled(IN_METADATA + b"[", b'""', b"]}}", b","),
    "blanks": filled(IN_METADATA, b" ", b"0.5}}"),
    "commas in a string": filled(IN_METADATA + b'"', b",", b'"}}'),
    "quotes and nothing else": b'"' * MIB,
    "entries of a journal": filled(b'{"entries":[', ENTRY, b"]}", b","),
    "members of a journal": filled(b'{"entries":[{', b'"amount":1', b"}]}", b","),
}
BODIES: dict[str, Body[Any]] = {
    "account": accounts.OPEN,
    "transfer": transfers.TRANSFER,
    "journal": transactions.JOURNAL,
    "batch": batch.BATCH,
}


def refusal(decode: Callable[[], Any]) -> str | None:
    """The code of the problem, if there is one."""
    try:
        value = decode()
        check_metadata(getattr(value, "metadata", {}))
    except Problem as problem:
        return problem.code if len(problem.detail) < 1000 else "a refusal that sends the body back"
    return None


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_hostile_body_holds_the_event_loop_for_less_than_50_ms(shape: str, kind: str) -> None:
    body = SHAPES[shape]
    spent = []
    for _ in range(5):  # the best of five: what else runs on the machine costs a thread some time as well
        begun = time.thread_time()
        code = refusal(lambda: BODIES[kind].decode(body))
        spent.append(time.thread_time() - begun)
        if spent[-1] < CPU_SECONDS:
            break
    assert min(spent) < CPU_SECONDS, (code, spent)
    assert code in CATALOGUE, "none of them can be posted"


@pytest.mark.parametrize("size", [json_text.SMALL // 2, json_text.SMALL * 2])
def test_a_member_given_twice_is_refused_in_small_and_in_large_bodies(size: int) -> None:
    text = "x" * size
    for body in (
        f'{{"currency":"EUR","currency":"EUR","metadata":{{"a":"{text}"}}}}',
        f'{{"currency":"EUR","metadata":{{"a":"{text}","b":[{{"c":1,"c":1}}]}}}}',
        f'{{"currency":"EUR","metadata":{{"a":"{text}","\\u0061":1}}}}',
    ):
        assert refusal(lambda body=body: accounts.OPEN.decode(body.encode())) == "malformed_json"  # type: ignore[misc]


@pytest.mark.parametrize(
    "text",
    ["a:b,c{d[e", 'a\\"b:c', "\\\\", 'back\\\\\\" slash', "\\u0022:", "é:", "\U0001f600"],
)
def test_what_stands_in_a_string_is_not_counted(text: str) -> None:
    item = {
        "type": "deposit", "account_id": str(uuid.UUID(int=1)), "amount": 1, "metadata": {text: text, "n": [text] * 50},
    }  # fmt: skip
    items = [{**item, "idempotency_key": str(number)} for number in range(300)]
    body = json.dumps({"atomic": False, "transactions": items}, ensure_ascii=False).encode()
    assert json_text.SMALL < len(body) < MIB
    assert len(batch.BATCH.decode(body).transactions) == 300


def test_a_batch_of_journals_as_dense_as_can_be_is_decoded() -> None:
    entries = [json.loads(ENTRY)] * 500
    journal = {"type": "journal", "idempotency_key": "k", "entries": entries}
    body = msgspec.json.encode({"atomic": True, "transactions": [journal] * 31})
    assert 0.9 * MIB < len(body) < MIB
    assert len(batch.BATCH.decode(body).transactions) == 31
