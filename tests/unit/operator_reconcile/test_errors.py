"""What the API server answers becomes a reason, an advice and a pace of retries."""

from __future__ import annotations

import pytest

from chronicle_kube import errors
from chronicle_operator.kube.errors import advice


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (404, errors.NotFound),
        (409, errors.Conflict),
        (401, errors.Forbidden),
        (403, errors.Forbidden),
        (400, errors.Invalid),
        (422, errors.Invalid),
        (429, errors.Throttled),
        (500, errors.ServerError),
        (503, errors.ServerError),
        (418, errors.KubeError),
    ],
)
def test_each_status_code_has_its_class(code: int, expected: type[errors.KubeError]) -> None:
    found = errors.of_status("patch Service x", code, "words of the server")
    assert type(found) is expected
    assert "patch Service x" in str(found)
    assert "words of the server" in str(found)
    assert advice(found)


def test_a_manifest_of_wrong_types_is_invalid_though_the_server_says_500() -> None:
    said = "failed to create typed patch object: .data.x: expected string, got 1"
    assert type(errors.of_status("patch ConfigMap x", 500, said)) is errors.Invalid


def test_a_failure_that_is_not_in_the_servers_own_words_is_that_of_something_in_between() -> None:
    assert type(errors.of_status("get x", 502, "<html>Bad Gateway</html>", answered=False)) is errors.Unreachable


def test_a_webhook_that_does_not_answer_is_named_and_not_taken_for_the_server() -> None:
    said = 'Internal error occurred: failed calling webhook "guard.example.com": no endpoints available'
    found = errors.of_status("patch Service x", 500, said)
    assert type(found) is errors.WebhookFailed
    assert "webhook" in advice(found)


def test_a_person_is_not_asked_again_every_second() -> None:
    assert errors.Forbidden.retry_seconds >= 30
    assert errors.Invalid.retry_seconds >= 30
    assert errors.Conflict.retry_seconds <= 1
