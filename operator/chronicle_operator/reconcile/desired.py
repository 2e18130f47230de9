"""What shall be there: the builders and the credentials, put together for one observation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import ValidationError

from chronicle_contract.labels import COMPONENT
from chronicle_kube.api import Manifest
from chronicle_operator.crd.spec import ChronicleLedgerSpec
from chronicle_operator.kube import errors
from chronicle_operator.observe.observe import Observation, labels
from chronicle_operator.observe.pods import name
from chronicle_operator.resources import LedgerContext, build, names
from chronicle_operator.resources.labels import metadata
from chronicle_operator.secrets import credentials
from chronicle_operator.status.conditions import Condition, timestamp

EXPIRES_SOON = timedelta(days=7)
"""Certificates are renewed long before: one that is this old was not, and a person should look."""

AUTHORITY_WARNING = timedelta(days=90)
AUTHORITY_ALARM = timedelta(days=30)
"""The authority is not renewed by the operator: a person has to plan a stop, and is told twice."""


class InvalidSpec(Exception):
    """The API server accepted the spec, and still no ledger can be built from it."""


@dataclass(frozen=True)
class Desired:
    """The wanted objects. `create` is created where it is missing and never overwritten; `manifests` are applied.

    `missing_secrets` were not among those observed, which are found by their labels: whoever sees some looks by name.
    """

    spec: ChronicleLedgerSpec
    manifests: Sequence[Manifest]
    create: Sequence[Manifest]
    certificates: Condition
    health_url: str
    authority: str | None
    expires: datetime | None = None
    missing_secrets: Sequence[str] = ()

    @property
    def hibernated(self) -> bool:
        """Whether no pod shall run."""
        return self.spec.hibernated

    @property
    def all(self) -> list[Manifest]:
        """Return everything that must not be pruned."""
        return [*self.create, *self.manifests]


def desired(
    seen: Observation, now: datetime, taken: Sequence[errors.KubeError] = (), licence: str | None = None
) -> Desired:
    """Return what shall be there. `taken` are Secrets of wanted names that are somebody else's; `licence` is a hash.

    Raises InvalidSpec with a sentence for the person who wrote the spec.
    """
    ledger, namespace = name(seen.ledger), seen.namespace
    try:
        spec = ChronicleLedgerSpec.model_validate(seen.ledger["spec"])
    except ValidationError as error:
        raise InvalidSpec(_in_words(error)) from error
    signers = ((seen.ledger.get("status") or {}).get("seal") or {}).get("publicKeys") or ()
    context = LedgerContext(ledger, namespace, seen.uid, spec, licence=licence, seal_keys=signers)
    secrets = {name(it): it for it in seen.children if it["kind"] == "Secret"}
    held = credentials.ensure(ledger, namespace, seen.uid, spec, secrets, now)
    try:
        manifests = build(replace(context, secret_hashes=held.hashes))
    except ValueError as error:
        raise InvalidSpec(str(error)) from error
    return Desired(
        spec,
        [*held.apply, *_claimed(context, held, secrets), *manifests],
        held.create,
        _taken(taken) if taken else _certificates(held, ledger, now),
        names.api_url(ledger, namespace, tls=spec.tls_managed) + "/health",
        held.authority,
        held.expires,
        held.missing,
    )


def _claimed(context: LedgerContext, held: credentials.Credentials, secrets: Mapping[str, Manifest]) -> list[Manifest]:
    """Return the Secrets whose labels or owner are not what they should be, with what they hold now.

    Credentials are created, or applied when they change, and nothing else would mend their metadata. Whole Secrets,
    since server-side apply would take away what an earlier manifest had and this one had not.
    """
    renewed = {name(it) for it in held.apply}
    found: list[Manifest] = []
    for secret in sorted(set(held.hashes) - renewed):
        live = secrets.get(secret)
        if live is None:
            continue
        component = str(labels(live).get(COMPONENT, "credentials"))
        wanted = metadata(context, secret, component)
        owners = [it.get("uid") for it in live["metadata"].get("ownerReferences") or ()]
        owned = [it["uid"] for it in wanted["ownerReferences"]]
        if owners != owned or any(labels(live).get(key) != value for key, value in wanted["labels"].items()):
            content: Manifest = {key: live[key] for key in ("type", "data") if key in live}
            found.append({"apiVersion": "v1", "kind": "Secret", "metadata": wanted, **content})
    return found


def _taken(taken: Sequence[errors.KubeError]) -> Condition:
    worst = errors.worst_first(taken)[0]
    return Condition("CertificatesReady", "False", worst.reason, "; ".join(map(str, taken)))


def _certificates(held: credentials.Credentials, ledger: str, now: datetime) -> Condition:
    kind = "CertificatesReady"
    if held.problem:
        return Condition(kind, "False", "SecretUnusable", held.problem)
    if held.expires is None:
        return Condition(kind, "True", "Disabled", "spec.tls.mode is Disabled: nothing is encrypted")
    ends = timestamp(held.expires)
    if held.expires <= now:
        return Condition(kind, "False", "Expired", f"a certificate ended at {ends}")
    if held.authority_expires and held.authority_expires - now < AUTHORITY_WARNING:
        alarm = held.authority_expires - now < AUTHORITY_ALARM
        said = (
            f"the authority ends at {timestamp(held.authority_expires)}, and every certificate with it; the operator"
            " does not replace it under nodes that trust it. Plan a stop: set spec.reconciliation to Hibernated, delete"
            f" Secret {names.authority(ledger)} once no pod runs, set it back to Active, give callers the new ca.crt"
        )
        return Condition(kind, "False" if alarm else "True", "AuthorityExpiresSoon", said)
    if held.expires - now < EXPIRES_SOON:
        return Condition(kind, "False", "ExpiresSoon", f"a certificate ends at {ends} and was not renewed")
    return Condition(kind, "True", "Valid", f"the first certificate ends at {ends} and is renewed before")


def _in_words(error: ValidationError) -> str:
    problems: list[Mapping[str, object]] = [dict(it) for it in error.errors(include_url=False)]
    said = [f"spec.{'.'.join(str(part) for part in _parts(it))}: {it['msg']}" for it in problems]
    return "; ".join(said[:5])


def _parts(problem: Mapping[str, object]) -> Sequence[object]:
    found = problem.get("loc")
    return found if isinstance(found, tuple) else ()
