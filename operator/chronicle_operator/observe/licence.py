"""The Secret of a CockroachDB licence: whoever keeps it says by a label that ledgers of its namespace may use it.

Without that, to write a ledger would be to read any Secret of its namespace by way of the database's image.
"""

from __future__ import annotations

from chronicle_contract.labels import DOMAIN
from chronicle_kube.api import Kube
from chronicle_operator.crd.spec import SecretKey
from chronicle_operator.kube import errors, kinds
from chronicle_operator.resources import names

LABEL, ALLOWED = f"{DOMAIN}/licence", "allowed"


async def find_licence(
    kube: Kube, namespace: str, reference: SecretKey | None
) -> tuple[str | None, list[errors.KubeError]]:
    """Return a hash of the licence if there is one that may be used, and what is wrong where there is none.

    The content itself never leaves this function.
    """
    if reference is None:
        return None, []
    subject = f"Secret {reference.name}"
    secret = await kube.get(kinds.SECRET, namespace, reference.name)
    if secret is None:
        return None, [errors.LicenceNotAllowed(subject, "licenseSecretRef names it, and it does not exist")]
    if (secret["metadata"].get("labels") or {}).get(LABEL) != ALLOWED:
        return None, [errors.LicenceNotAllowed(subject, f"licenseSecretRef names it, and it lacks {LABEL}={ALLOWED}")]
    entry = (secret.get("data") or {}).get(reference.key)
    if not entry:
        return None, [errors.LicenceNotAllowed(subject, f"licenseSecretRef names its entry {reference.key}: not there")]
    return names.digest(entry), []
