"""The Secrets of a ledger: made where missing, renewed when they age, left alone where somebody else made them.

    secrets = {it["metadata"]["name"]: it for it in await kube.list(SECRET, namespace, selector(name))}
    wanted = ensure(name, namespace, uid, spec, secrets, now)

`wanted.create` is to be created (never applied: whoever made one in between wins), `wanted.apply` applied;
`wanted.hashes` goes into `LedgerContext.secret_hashes`, `wanted.expires` and `wanted.problem` into the condition
`CertificatesReady`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chronicle_operator.spec import ChronicleLedgerSpec

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Credentials:
    """What to do about the Secrets of one ledger.

    `expires` is the earliest end of a certificate (None without TLS). `problem` is a sentence for people: a Secret is
    there that cannot be used, and is left alone.
    """

    create: Sequence[Manifest] = ()
    apply: Sequence[Manifest] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    expires: datetime | None = None
    problem: str = ""
    authority: str | None = None
    """The certificate of the authority (PEM), for whoever calls the API; None without TLS."""


def ensure(
    name: str,
    namespace: str,
    uid: str,
    spec: ChronicleLedgerSpec,
    secrets: Mapping[str, Mapping[str, Any]],
    now: datetime,
) -> Credentials:
    """Return what to create and renew, from the Secrets that are there (name → object)."""
    raise NotImplementedError
