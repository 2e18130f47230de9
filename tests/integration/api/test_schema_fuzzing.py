"""schemathesis reads the OpenAPI document and invents requests: no answer is a 5xx, each has its documented form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.stateful import run_state_machine_as_test
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from chronicle_ledger.api.app import document
from support.api_process import Api

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
BOUNDED = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,  # a run that finds something finds it again
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)

LINKED = ["openAccount", "getAccount", "createDeposit", "createWithdrawal", "reverseTransaction", "getTransaction"]

Operation: TypeAlias = schemathesis.APIOperation[Any, Any, Any, Any]
Case: TypeAlias = schemathesis.Case[Any]

SCHEMA = schemathesis.openapi.from_dict(document())
ENDLESS = "/v1/events"
"""An answer without an end would keep a fuzzer waiting; its own tests are in integration/events."""
OPERATIONS: list[Operation] = [
    result.ok() for result in SCHEMA.get_all_operations() if isinstance(result, Ok) and result.ok().path != ENDLESS
]
WITH_INPUT = [
    operation
    for operation in OPERATIONS
    if operation.path.startswith("/v1/") and (operation.body or operation.query or operation.path_parameters)
]


@pytest.fixture(scope="session")
def fuzzed(new_database: Callable[[], str], start_api: Callable[..., Api]) -> Api:
    """An API of its own: what is invented here must not get in the way of other tests."""
    return start_api(new_database())


@pytest.mark.parametrize("operation", OPERATIONS, ids=[operation.label for operation in OPERATIONS])
def test_requests_that_the_document_allows_are_answered_as_documented(fuzzed: Api, operation: Operation) -> None:
    assert invent(fuzzed, operation, GenerationMode.POSITIVE) > 0


@pytest.mark.parametrize("operation", WITH_INPUT, ids=[operation.label for operation in WITH_INPUT])
def test_requests_that_the_document_forbids_are_refused_as_documented(fuzzed: Api, operation: Operation) -> None:
    assert invent(fuzzed, operation, GenerationMode.NEGATIVE) > 0


def invent(api: Api, operation: Operation, mode: GenerationMode) -> int:
    """Send invented requests and check each answer; how many were sent."""
    sent = 0

    @BOUNDED
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Case) -> None:
        nonlocal sent
        sent += 1
        case.call_and_validate(base_url=api.url, checks=CHECKS)

    send()
    return sent


def test_sequences_of_requests_that_follow_the_links_never_break_the_service(fuzzed: Api) -> None:
    followed: list[tuple[str, int]] = []
    # Fewer first steps: what Hypothesis invents depends on the constants of this repository's sources, too, and a
    # sequence that opens an account and then follows its links must come about whatever they are.
    allowed = schemathesis.openapi.from_dict(document()).include(operation_id=LINKED)
    allowed.config.generation.update(modes=[GenerationMode.POSITIVE])  # what is refused leads nowhere

    class Links(allowed.as_state_machine()):  # type: ignore[misc]
        def get_call_kwargs(self, _: Case) -> dict[str, Any]:
            return {"base_url": fuzzed.url}

        def after_call(self, response: Any, case: Case) -> None:
            followed.append((case.operation.label, response.status_code))

        def validate_response(self, response: Any, case: Case, **_: Any) -> None:
            case.validate_response(response, checks=CHECKS)

    run_state_machine_as_test(Links, settings=settings(BOUNDED, max_examples=15, stateful_step_count=8))
    assert [call for call in followed if call[1] >= 500] == []
    assert ("GET /v1/accounts/{account_id}", 200) in followed, "no link was followed from an opened account"
