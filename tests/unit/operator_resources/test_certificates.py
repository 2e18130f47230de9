"""Certificates and Secrets: made once, renewed in time, never over an authority that is there."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from chronicle_contract.database_users import USERS
from chronicle_contract.keys import PREFIX
from chronicle_ledger.web import keyfile
from chronicle_operator.secrets import certificates
from chronicle_operator.secrets.certificates import CertificateError, Pair, Profile
from chronicle_operator.secrets.credentials import Credentials, ensure
from support.ledger_specs import context

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Secrets = dict[str, dict[str, Any]]


def ensured(existing: Secrets, now: datetime = NOW, spec: dict[str, Any] | None = None) -> Credentials:
    ledger = context(spec or {})
    return ensure(ledger.name, ledger.namespace, ledger.uid, ledger.spec, existing, now)


def stored(*made: Credentials) -> Secrets:
    """What is in the cluster after these were created and applied."""
    return {it["metadata"]["name"]: it for held in made for it in (*held.create, *held.apply)}


def entry(secret: dict[str, Any], key: str) -> bytes:
    return base64.b64decode(secret["data"][key])


def test_everything_is_created_once_and_then_left_alone() -> None:
    first = ensured({})
    again = ensured(stored(first))
    assert len(first.create) == 22
    assert (first.apply, first.problem) == ([], "")
    assert (again.create, again.apply) == ([], [])
    assert again.hashes == first.hashes


def test_certificates_are_renewed_at_two_thirds_of_their_life_and_the_authority_stays() -> None:
    held = stored(ensured({}))
    assert ensured(held, NOW + timedelta(days=240)).apply == []
    renewed = ensured(held, NOW + timedelta(days=245))
    assert {it["metadata"]["name"] for it in renewed.apply} == {
        "books-cockroachdb-node",
        "books-nats-tls",
        "books-api-tls",
        "books-cockroachdb-client-root",
        "books-cockroachdb-client-migration",
        *(f"books-cockroachdb-client-{user.removeprefix('chronicle_')}" for user in USERS),
    }
    assert renewed.create == []
    after = held | stored(renewed)
    assert entry(after["books-api-tls"], "ca.crt") == entry(held["books-ca"], "tls.crt")
    assert renewed.expires is not None
    assert renewed.expires > NOW + timedelta(days=600)


def test_a_lost_authority_is_not_replaced_under_running_nodes_but_is_in_hibernation() -> None:
    held = stored(ensured({}))
    before = ensured(held).hashes
    del held["books-ca"]
    lost = ensured(held)
    assert (lost.create, lost.apply) == ([], [])
    assert "Restore it from a copy" in lost.problem
    # No template may change: the pods that still work must go on.
    assert {name: digest for name, digest in before.items() if name != "books-ca"} == lost.hashes
    asleep = ensured(held, spec={"reconciliation": "Hibernated"})
    assert [it["metadata"]["name"] for it in asleep.create] == ["books-ca"]
    assert len(asleep.apply) == 13


def test_a_broken_authority_is_reported_and_left_alone() -> None:
    held = stored(ensured({}))
    held["books-ca"] = {"data": {"tls.crt": base64.b64encode(b"nonsense").decode()}}
    broken = ensured(held)
    assert (broken.create, broken.apply) == ([], [])
    assert "books-ca" in broken.problem


def test_a_certificate_of_another_authority_is_replaced() -> None:
    mine, other = (certificates.new_authority(name, NOW) for name in ("mine", "other"))
    profile = Profile("node", ("localhost",), server=True)
    assert not certificates.must_renew(certificates.issue(mine, profile, NOW), mine, profile, NOW)
    assert certificates.must_renew(certificates.issue(other, profile, NOW), mine, profile, NOW)


def test_a_new_name_makes_a_new_certificate() -> None:
    authority = certificates.new_authority("a", NOW)
    pair = certificates.issue(authority, Profile("api", ("old.svc", "127.0.0.1"), server=True), NOW)
    assert not certificates.must_renew(pair, authority, Profile("api", ("old.svc", "127.0.0.1"), server=True), NOW)
    assert certificates.must_renew(pair, authority, Profile("api", ("old.svc", "new.svc"), server=True), NOW)


def test_halves_that_do_not_belong_together_are_refused() -> None:
    one, other = (certificates.new_authority(name, NOW) for name in ("one", "other"))
    with pytest.raises(CertificateError, match="do not belong together"):
        certificates.load(Pair(one.certificate, other.key))


def test_no_certificate_outlives_its_authority() -> None:
    authority = certificates.new_authority("a", NOW)
    end = certificates.expires(authority.certificate)
    late = certificates.issue(authority, Profile("api", server=True), end - timedelta(days=30))
    assert certificates.expires(late.certificate) == end


def test_near_the_authoritys_end_a_certificate_is_renewed_once_more_and_then_left_alone() -> None:
    held = stored(ensured({}))
    end = certificates.expires(entry(held["books-ca"], "tls.crt"))
    renewals = 0
    now = end - timedelta(days=400)
    while now < end:
        found = ensured(held, now)
        renewals += any(it["metadata"]["name"] == "books-cockroachdb-node" for it in found.apply)
        held |= stored(found)
        now += timedelta(days=1)
    assert renewals == 2, "each is a rolling restart of the database"
    assert certificates.expires(entry(held["books-cockroachdb-node"], "tls.crt")) == end


def test_a_node_is_known_under_every_name_it_is_called_by() -> None:
    node = entry(stored(ensured({}, spec={"regions": REGIONS}))["books-cockroachdb-node"], "tls.crt")
    certificate = x509.load_pem_x509_certificate(node)
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    names = set(found.get_values_for_type(x509.DNSName))
    assert {
        "localhost",
        "*.books-cockroachdb.finance.svc",
        "books-cockroachdb-public.finance.svc",
        "books-cockroachdb-region-b-public.finance.svc",
    } <= names
    assert certificate.subject.rfc4514_string() == "CN=node,O=ChronicleLedger"


REGIONS = [{"name": "region-a", "cockroachReplicas": 2, "natsReplicas": 2}, {"name": "region-b"}]


def test_the_ledger_lets_the_admin_key_in() -> None:
    held = stored(ensured({}))
    key = entry(held["books-admin-key"], "key").decode()
    assert key.startswith(PREFIX)
    assert len(key) >= keyfile.MINIMUM_LENGTH
    entries = json.loads(entry(held["books-api-keys"], "keys.json"))["keys"]
    assert {"name": "admin", "role": "admin", "sha256": keyfile.digest(key)} in entries


def test_keys_that_people_added_to_the_file_stay() -> None:
    held = stored(ensured({}))
    mine = {"name": "billing", "role": "writer", "sha256": keyfile.digest("x" * 40)}
    entries = [mine, *json.loads(entry(held["books-api-keys"], "keys.json"))["keys"]]
    text = json.dumps({"keys": entries}).encode()
    held["books-api-keys"]["data"]["keys.json"] = base64.b64encode(text).decode()
    del held["books-admin-key"]
    after = held | stored(ensured(held))
    kept = json.loads(entry(after["books-api-keys"], "keys.json"))["keys"]
    assert mine in kept
    assert [it["name"] for it in kept] == ["billing", "admin", "scenarios"]
    key = entry(after["books-admin-key"], "key").decode()
    assert kept[1]["sha256"] == keyfile.digest(key)


@pytest.mark.parametrize("secret", ["books-admin-key", "books-scenario-key"])
@pytest.mark.parametrize("left", [{}, {"key": ""}, {"note": base64.b64encode(b"mine").decode()}], ids=str)
def test_a_key_that_a_hand_took_out_of_its_secret_is_made_anew_and_let_in(secret: str, left: dict[str, str]) -> None:
    held = stored(ensured({}))
    held[secret]["data"] = left
    mended = ensured(held)
    assert mended.problem == ""
    assert {it["metadata"]["name"] for it in mended.apply} == {secret, "books-api-keys"}
    after = held | stored(mended)
    entries = json.loads(entry(after["books-api-keys"], "keys.json"))["keys"]
    assert keyfile.digest(entry(after[secret], "key").decode()) in {it["sha256"] for it in entries}
    assert "note" not in left or entry(after[secret], "note") == b"mine"
    again = ensured(after)
    assert (again.create, again.apply) == ([], [])


def test_a_secret_of_the_bus_without_its_password_gets_one() -> None:
    held = stored(ensured({}))
    before = ensured(held).hashes["books-nats-auth"]
    held["books-nats-auth"].pop("data")
    mended = ensured(held)
    (secret,) = mended.apply
    assert entry(secret, "password").startswith(b"p")
    assert mended.hashes["books-nats-auth"] != before, "who reads it once has to be replaced"


def test_a_key_file_that_is_none_is_reported_and_left_alone() -> None:
    held = stored(ensured({}))
    held["books-api-keys"]["data"]["keys.json"] = base64.b64encode(b"{").decode()
    broken = ensured(held)
    assert "books-api-keys" in broken.problem
    assert (broken.create, broken.apply) == ([], [])


def test_a_trial_without_tls_and_keys_has_the_passwords_of_the_bus_and_the_sealers_key_alone() -> None:
    open_ledger = ensured({}, spec={"tls": {"mode": "Disabled"}, "api": {"auth": {"mode": "Open"}}})
    assert [it["metadata"]["name"] for it in open_ledger.create] == [
        "books-nats-auth", "books-nats-auth-api", "books-nats-auth-relay", "books-nats-auth-projector",
        "books-seal-key",
    ]  # fmt: skip
    assert (open_ledger.authority, open_ledger.expires) == (None, None)


def test_an_authority_signs_and_a_certificate_agrees_on_keys_and_neither_does_the_others_work() -> None:
    authority = certificates.new_authority("mine", NOW)
    issued = certificates.issue(authority, Profile("api", ("localhost",), server=True), NOW)

    def usage(pair: Pair) -> x509.KeyUsage:
        certificate, _ = certificates.load(pair)
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value

    assert (usage(authority).key_cert_sign, usage(authority).crl_sign, usage(authority).key_agreement) == (
        True,
        True,
        False,
    )
    assert (usage(issued).key_cert_sign, usage(issued).crl_sign, usage(issued).key_agreement) == (False, False, True)
    for pair in (authority, issued):
        assert usage(pair).digital_signature
        assert not usage(pair).key_encipherment
        assert not usage(pair).data_encipherment
        assert not usage(pair).content_commitment


def test_a_ledger_that_is_not_sealed_has_no_key_and_one_that_was_keeps_it() -> None:
    off = {"seal": {"mode": "Disabled"}}
    assert "books-seal-key" not in stored(ensured({}, spec=off))
    held = stored(ensured({}))
    assert (ensured(held, spec=off).create, ensured(held, spec=off).apply) == ([], [])
