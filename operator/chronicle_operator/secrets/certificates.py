"""Certificates of a ledger's own authority, and when to make a new one. Pure: keys come from `cryptography`, time from
the caller.

Elliptic keys (P-256): accepted by CockroachDB from 20.1 on, by NATS and by every TLS library, and a key is made in a
millisecond. Certificates are renewed at two thirds of their life, the rest being time in which somebody may notice that
renewal fails. The authority is never renewed here: replacing it means that everybody has to trust two for a while. No
certificate outlives it, so near its end there is nothing to win by renewing, and nobody is restarted for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE = timedelta(days=3650)
CERTIFICATE_LIFE = timedelta(days=365)
RENEW_AFTER = 2 / 3
BACKDATED = timedelta(minutes=10)
"""Certificates begin to be valid a little earlier, for machines whose clocks are behind."""


class CertificateError(ValueError):
    """What is stored is no usable certificate or key; the message says which and what to do."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Profile:
    """What a certificate is for. `names` are the DNS names and IP addresses under which a server is called."""

    common_name: str
    names: Sequence[str] = ()
    server: bool = False
    client: bool = False


def new_authority(name: str, now: datetime) -> Pair:
    """Return a new certificate authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pair(certificate, key)


def issue(authority: Pair, profile: Profile, now: datetime) -> Pair:
    """Return a certificate for `profile`. Raises CertificateError where the authority cannot be used."""
    issuer, issuer_key = load(authority)
    key = ec.generate_private_key(ec.SECP256R1())
    until = _end(issuer, now)
    builder = (
        x509.CertificateBuilder()
        .subject_name(
            x509.Name(
                [
                    # CockroachDB takes the user from the common name; the organisation is what its own tool writes.
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ChronicleLedger"),
                    x509.NameAttribute(NameOID.COMMON_NAME, profile.common_name),
                ]
            )
        )
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_purposes(profile)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if profile.names:
        alternatives = x509.SubjectAlternativeName([_alternative(name) for name in profile.names])
        builder = builder.add_extension(alternatives, critical=False)
    return _pair(builder.sign(issuer_key, hashes.SHA256()), key)


def load(pair: Pair) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Parse a pair and check that its halves belong together. Raises CertificateError."""
    try:
        certificate = x509.load_pem_x509_certificate(pair.certificate)
        key = serialization.load_pem_private_key(pair.key, password=None)
    except (ValueError, TypeError) as error:
        raise CertificateError(f"not a PEM certificate with its key: {error}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError("the key is no elliptic-curve key")
    if key.public_key() != certificate.public_key():
        raise CertificateError("certificate and key do not belong together")
    return certificate, key


def expires(certificate: bytes) -> datetime:
    """Return the end of a certificate's validity, UTC. Raises CertificateError."""
    try:
        return x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    except ValueError as error:
        raise CertificateError(f"not a PEM certificate: {error}") from None


def must_renew(pair: Pair, authority: Pair, profile: Profile, now: datetime) -> bool:
    """Whether a certificate is old and a new one would last longer, is of another authority, is broken, or lacks a name
    that it should have.
    """
    try:
        certificate, _ = load(pair)
        issuer, _ = load(authority)
        certificate.verify_directly_issued_by(issuer)
    except CertificateError:
        return True
    except Exception:  # noqa: BLE001 - a signature that does not fit comes as one of three kinds of exception
        return True
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    old = now >= certificate.not_valid_before_utc + life * RENEW_AFTER
    if old and certificate.not_valid_after_utc < _end(issuer, now):
        return True
    if certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value != profile.common_name:
        return True
    return not set(profile.names) <= _names_of(certificate)


def _end(issuer: x509.Certificate, now: datetime) -> datetime:
    """Return until when a certificate that is made now is valid."""
    return min(now + CERTIFICATE_LIFE, issuer.not_valid_after_utc)


def _names_of(certificate: x509.Certificate) -> set[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    addresses = {str(it) for it in found.get_values_for_type(x509.IPAddress)}
    return set(found.get_values_for_type(x509.DNSName)) | addresses


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _purposes(profile: Profile) -> list[x509.ObjectIdentifier]:
    chosen = [ExtendedKeyUsageOID.SERVER_AUTH] if profile.server else []
    return chosen + ([ExtendedKeyUsageOID.CLIENT_AUTH] if profile.client else [])


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=not authority,
        encipher_only=False,
        decipher_only=False,
    )


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    return Pair(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
