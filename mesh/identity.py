"""The mesh's own certificate authority, and the certificates that nodes prove their identity with.

Rules: EC P-256 throughout; keys are readable by their owner alone and never leave the machine that they were written
on; a certificate becomes current, with its key, in one step; one is renewed at half of its lifetime, so that a day of
trouble is no outage. What the files are called stands in mesh/spiffe.py.
"""

import contextlib
import datetime
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mesh.errors import SubstrateError
from mesh.spiffe import CA_FILE, CA_SECRET, CERTIFICATE_FILE, CERTIFICATE_SECRET, CURRENT, DIRECTORY

AUTHORITY_LIFETIME_SECONDS = 10 * 365 * 86_400
BACKDATED_SECONDS = 300  # clocks of two machines differ
GRACE_SECONDS = 60  # whoever is reading the files of a replaced certificate has finished by then


@dataclass(frozen=True, slots=True)
class Authority:
    """Issues certificates. Its own never change while the mesh lives."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def open(cls, directory: Path) -> "Authority":
        """The authority kept in `directory`; made if there is none. Raises: SubstrateError."""
        certificate_file, key_file = directory / "ca.pem", directory / "ca.key"
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory.chmod(0o700)
            if not certificate_file.exists():  # written last: without it, nothing was ever issued
                authority = cls._made()
                _write(key_file, _key_pem(authority.key))
                _write(certificate_file, _pem(authority.certificate))
                return authority
            return cls._checked(certificate_file.read_bytes(), key_file.read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise SubstrateError(
                f"the certificate authority in {directory} cannot be used: {error}; with the mesh down, remove that"
                " directory and a new one is made"
            ) from error

    def issue(self, spiffe_id: str, directory: Path, *, lifetime_seconds: float) -> None:
        """Write a new certificate for `spiffe_id` into `directory` and make it current. Raises: OSError."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        fresh = directory / f"v{time.time_ns()}"
        fresh.mkdir(mode=0o700)
        _write(fresh / "key.pem", _key_pem(key))
        _write(fresh / "cert.pem", _pem(self._signed(spiffe_id, key, lifetime_seconds)))
        _write(fresh / "ca.pem", _pem(self.certificate))
        for file, secret in _secrets().items():
            _write_if_other(directory / file, json.dumps({"resources": [secret]}).encode())
        link = directory / f".{fresh.name}"
        link.symlink_to(fresh.name)
        link.replace(directory / CURRENT)  # Envoy watches the directory for this
        _remove_old(directory, keep=fresh)

    def renewal_due(self, directory: Path, spiffe_id: str, *, now: float) -> bool:
        """Whether `directory` needs a certificate: it has none that is readable, ours, of `spiffe_id` and young enough."""
        try:
            certificate = x509.load_pem_x509_certificate((directory / CURRENT / "cert.pem").read_bytes())
            certificate.verify_directly_issued_by(self.certificate)
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except Exception:  # whatever is wrong with it, a new one mends it
            return True
        issued = certificate.not_valid_before_utc.timestamp() + BACKDATED_SECONDS
        half = issued + (certificate.not_valid_after_utc.timestamp() - issued) / 2
        return now >= half or names.get_values_for_type(x509.UniformResourceIdentifier) != [spiffe_id]

    @classmethod
    def _made(cls) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("meshlog authority")
        certificate = (
            _unsigned(name, name, key.public_key(), AUTHORITY_LIFETIME_SECONDS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def _checked(cls, certificate_pem: bytes, key_pem: bytes) -> "Authority":
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        key = serialization.load_pem_private_key(key_pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise ValueError("its key is not its certificate's")
        if certificate.not_valid_after_utc < datetime.datetime.now(datetime.UTC):
            raise ValueError(f"it ended on {certificate.not_valid_after_utc:%Y-%m-%d}")
        return cls(certificate, key)

    def _signed(self, spiffe_id: str, key: ec.EllipticCurvePrivateKey, lifetime_seconds: float) -> x509.Certificate:
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return (
            _unsigned(_name(spiffe_id.rpartition("/")[2]), self.certificate.subject, key.public_key(), lifetime_seconds)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(spiffe_id)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(authority, critical=False)
            .sign(self.key, hashes.SHA256())
        )


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime_seconds: float
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(seconds=BACKDATED_SECONDS))
        .not_valid_after(now + datetime.timedelta(seconds=lifetime_seconds))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _secrets() -> dict[str, dict[str, Any]]:
    """The files that Envoy reads by file SDS. They name files that are replaced, and never change themselves."""
    current, watched = f"{DIRECTORY}/{CURRENT}", {"path": DIRECTORY}
    pair = {"certificate_chain": {"filename": f"{current}/cert.pem"}, "private_key": {"filename": f"{current}/key.pem"}}
    trusted = {"trusted_ca": {"filename": f"{current}/ca.pem"}, "watched_directory": watched}
    type_ = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
    return {
        CERTIFICATE_FILE: {
            "@type": type_,
            "name": CERTIFICATE_SECRET,
            "tls_certificate": {**pair, "watched_directory": watched},
        },
        CA_FILE: {"@type": type_, "name": CA_SECRET, "validation_context": trusted},
    }


def _remove_old(directory: Path, *, keep: Path) -> None:
    oldest = time.time_ns() - GRACE_SECONDS * 1_000_000_000
    for version in directory.glob("v*"):
        if version != keep and version.name[1:].isdigit() and int(version.name[1:]) < oldest:
            with contextlib.suppress(OSError):  # the next issue tries again
                shutil.rmtree(version)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_if_other(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        _write(path, content)


def _write(path: Path, content: bytes) -> None:
    """`content` at `path`, whole or not at all, for the owner's eyes only."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600, exist_ok=False)
    fresh.write_bytes(content)
    fresh.replace(path)
