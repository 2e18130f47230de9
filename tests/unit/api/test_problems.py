"""The catalogue of refusals covers the ledger's errors and is documented whole."""

from __future__ import annotations

from collections.abc import Iterator

from chronicle_ledger.api.app import document, operations
from chronicle_ledger.domain import errors
from chronicle_ledger.listener.protocol import REFUSALS
from chronicle_ledger.web.problems import CATALOGUE, Problem, retry_after


def leaves(kind: type[errors.LedgerError]) -> Iterator[type[errors.LedgerError]]:
    children = kind.__subclasses__()
    if not children:
        yield kind
    for child in children:
        yield from leaves(child)


def test_every_error_of_the_ledger_has_a_status_of_its_own_kind() -> None:
    families = {errors.NotFound: 404, errors.Conflict: 409, errors.Invalid: 422, errors.Unavailable: 503}
    for family, status in families.items():
        for kind in leaves(family):
            assert CATALOGUE[kind.code].status == status, kind.code


def test_every_code_is_documented_with_an_example_that_has_it() -> None:
    examples = document()["components"]["examples"]
    assert set(CATALOGUE) == set(examples)
    assert all(example["value"]["code"] == code for code, example in examples.items())


def test_every_code_belongs_to_an_operation_or_is_known_to_belong_to_none() -> None:
    # No path, no method, inside a batch's results, and what the listener refuses before there is a request.
    elsewhere = {"not_found", "method_not_allowed", "batch_aborted", *REFUSALS} - {"malformed_request"}
    documented = {code for operation in operations() for code in operation.all_problems()}
    assert documented | elsewhere == set(CATALOGUE)


def test_every_operation_has_an_id_of_its_own_and_its_links_lead_to_operations() -> None:
    identities = [operation.id for operation in operations()]
    assert len(set(identities)) == len(identities)
    targets = {link["operationId"] for operation in operations() for link in operation.links.values()}
    assert targets <= set(identities)


def test_figures_never_replace_the_members_that_every_problem_has() -> None:
    problem = Problem.of(errors.HoldNotPending("The hold is captured.", state="captured", status="captured"))
    document_ = problem.document("id")
    assert (document_["status"], document_["state"], document_["instance"]) == (409, "captured", "id")


def test_what_can_be_tried_again_says_when() -> None:
    assert {code for code, found in CATALOGUE.items() if found.status == 503 and found.retry_after is None} == set()
    assert CATALOGUE["request_in_progress"].retry_after is not None


def test_who_was_refused_together_does_not_come_again_together() -> None:
    told = {Problem("overloaded").encode("id")[1]["retry-after"] for _ in range(200)}
    assert told == {"2", "3", "4", "5", "6"}
    assert retry_after(1, lambda below: below - 1) == "3"
    assert retry_after(1, lambda _: 0) == "1"
