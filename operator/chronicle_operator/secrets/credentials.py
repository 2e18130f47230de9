"""The Secrets of a ledger: made where missing, renewed when they age, left alone where they cannot be read.

    secrets = {it["metadata"]["name"]: it for it in await kube.list(SECRET, namespace, selector(name))}
    wanted = ensure(name, namespace, uid, spec, secrets, now)

`wanted.create` is to be created (never applied: whoever made one in between wins), `wanted.apply` applied;
`wanted.hashes` goes into `LedgerContext.secret_hashes`, `wanted.expires` and `wanted.problem` into the condition
`CertificatesReady`.

All of them belong to the ledger and go with it: CockroachDB's volumes hold nothing that depends on an authority.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets as randomness
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from chronicle_contract.keys import PREFIX
from chronicle_operator.crd.spec import ChronicleLedgerSpec, Switch
from chronicle_operator.resources import names
from chronicle_operator.resources.context import LedgerContext, Manifest
from chronicle_operator.resources.labels import metadata
from chronicle_operator.secrets import certificate_profiles, certificates
from chronicle_operator.secrets.certificates import CertificateError, Pair

Secrets = Mapping[str, Mapping[str, Any]]

ADMIN = "admin"
SCENARIOS = "scenarios"


@dataclass(frozen=True)
class Credentials:
    """What to do about the Secrets of one ledger.

    `expires` is the earliest end of a certificate, `authority_expires` that of the authority (None without TLS).
    `problem` is a sentence for people: a Secret is there that cannot be used, and is left alone. `authority` is the
    authority's certificate (PEM), for whoever calls the API; None without TLS. `missing` are names under which no
    Secret was found: one may be there without its labels.
    """

    create: Sequence[Manifest] = ()
    apply: Sequence[Manifest] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    expires: datetime | None = None
    authority_expires: datetime | None = None
    problem: str = ""
    authority: str | None = None
    missing: Sequence[str] = ()


@dataclass
class _Draft:
    """Collects the answer."""

    ledger: LedgerContext
    existing: Secrets
    create: list[Manifest] = field(default_factory=list)
    apply: list[Manifest] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    expiries: list[datetime] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)

    def data(self, name: str) -> dict[str, bytes] | None:
        """Return what a Secret holds, None where there is no such Secret."""
        found = self.existing.get(name)
        if found is None:
            self.missing.add(name)
            return None
        return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}

    def want(self, name: str, component: str, data: Mapping[str, bytes], *, kind: str = "Opaque") -> None:
        """Create the Secret, or apply it where it is there with other data."""
        self.hashes[name] = _hash(data)
        before = self.data(name)
        if before == dict(data):
            return
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata(self.ledger, name, component),
            "type": kind,
            "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
        }
        (self.create if before is None else self.apply).append(manifest)


def ensure(
    name: str, namespace: str, uid: str, spec: ChronicleLedgerSpec, existing: Secrets, now: datetime
) -> Credentials:
    """Return what to create and renew, from the Secrets that are there (name → object)."""
    ledger = LedgerContext(name, namespace, uid, spec)
    draft = _Draft(ledger, existing)
    # What is there counts even where a problem stops us below: a hash that vanished would restart pods.
    draft.hashes = {it: _hash(draft.data(it) or {}) for it in existing}
    problem, authority = "", None
    _passwords(draft)
    _seal_key(draft)
    try:
        _keys(draft)
    except ValueError as error:
        problem = (
            f"Secret {names.api_keys(ledger.name)} cannot be read ({error}); delete it to have it made anew, "
            "or mend its entry keys.json"
        )
    if ledger.spec.tls_managed:
        try:
            authority = _certificates(draft, now)
        except CertificateError as error:
            problem = (
                f"Secret {names.authority(ledger.name)}: {error}. Restore it from a copy, or set spec.reconciliation to"
                " Hibernated, delete this Secret and the ones with certificates, and set it back: all are made anew"
            )
    return Credentials(
        create=draft.create,
        apply=draft.apply,
        hashes=draft.hashes,
        expires=min(draft.expiries, default=None),
        authority_expires=certificates.expires(authority.encode()) if authority else None,
        problem=problem,
        authority=authority,
        missing=sorted(draft.missing),
    )


def _certificates(draft: _Draft, now: datetime) -> str:
    ledger = draft.ledger
    name = names.authority(ledger.name)
    stored = draft.data(name)
    profiles = certificate_profiles.of_ledger(
        ledger.name, ledger.namespace, tuple(it.name for it in ledger.spec.regions or ())
    )
    if stored is None:
        # Nodes that run trust the authority that is lost, and would refuse whoever comes with another one's word.
        if not ledger.spec.hibernated and any(draft.data(it) for it in profiles):
            raise CertificateError("the authority is gone while certificates of it are in use")
        authority = certificates.new_authority(f"{ledger.namespace}/{ledger.name} authority", now)
    else:
        authority = Pair(stored.get("tls.crt", b""), stored.get("tls.key", b""))
        certificates.load(authority)
    draft.want(name, "certificates", _entries(authority, authority), kind="kubernetes.io/tls")
    draft.expiries.append(certificates.expires(authority.certificate))
    for secret, profile in profiles.items():
        found = draft.data(secret) or {}
        pair = Pair(found.get("tls.crt", b""), found.get("tls.key", b""))
        if not found or certificates.must_renew(pair, authority, profile, now):
            pair = certificates.issue(authority, profile, now)
        draft.want(secret, "certificates", _entries(authority, pair), kind="kubernetes.io/tls")
        draft.expiries.append(certificates.expires(pair.certificate))
    return authority.certificate.decode()


def _hash(data: Mapping[str, bytes]) -> str:
    return names.digest({key: hashlib.sha256(value).hexdigest() for key, value in data.items()})


def _entries(authority: Pair, pair: Pair) -> dict[str, bytes]:
    return {"ca.crt": authority.certificate, "tls.crt": pair.certificate, "tls.key": pair.key}


def _passwords(draft: _Draft) -> None:
    for name in names.nats_passwords(draft.ledger.name):
        # A letter first: NATS reads it from its environment as it would read a bare word of its configuration.
        draft.want(name, "nats", _with_entry(draft.data(name), "password", f"p{randomness.token_hex(24)}"))


def _seal_key(draft: _Draft) -> None:
    """Make the key that signs seals and backups where there is none. One that is there stays, readable or not: who
    signs says so."""
    name = names.seal_key(draft.ledger.name)
    stored = draft.data(name)
    if stored is not None:
        draft.want(name, "seal", stored)
    elif draft.ledger.spec.seal.mode is Switch.ENABLED or draft.ledger.spec.backup:
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = key.public_key().public_bytes_raw().hex().encode()
        draft.want(name, "seal", {"sealer.pem": pem, "public.hex": public})


def _with_entry(stored: Mapping[str, bytes] | None, entry: str, fresh: str) -> dict[str, bytes]:
    """Return what a Secret shall hold: what it holds, with `fresh` where a hand took the entry away or emptied it."""
    found = dict(stored or {})
    return found if found.get(entry) else {**found, entry: fresh.encode()}


def _stored_entries(stored: Mapping[str, bytes]) -> list[Any]:
    found = json.loads(stored.get("keys.json", b""))
    entries = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(entries, list) or not all(isinstance(it, dict) for it in entries):
        raise ValueError('keys.json is not {"keys": [...]}')
    return entries


def _keys(draft: _Draft) -> None:
    """Make the keys of admin and scenario runs, and their hashes; entries that people added to the file stay."""
    if draft.ledger.spec.api.auth.mode != "Keys":
        return
    name = names.api_keys(draft.ledger.name)
    stored = draft.data(name)
    entries = _stored_entries(stored) if stored else []
    for owner, secret, role in (
        (ADMIN, names.admin_key(draft.ledger.name), "admin"),
        (SCENARIOS, names.scenario_key(draft.ledger.name), "admin"),
    ):
        found = _with_entry(draft.data(secret), "key", f"{PREFIX}{randomness.token_urlsafe(32)}")
        draft.want(secret, "api", found)
        entry = {"name": owner, "role": role, "sha256": hashlib.sha256(found["key"]).hexdigest()}
        entries = [entry if it.get("name") == owner else it for it in entries]
        if entry not in entries:
            entries.append(entry)
    text = json.dumps({"keys": entries}, indent=2) + "\n"
    draft.want(name, "api", {"keys.json": text.encode()} if not stored else {**stored, "keys.json": text.encode()})
