"""The authority issues what nodes prove their identity with, and guards its keys."""

import json
import stat
import time
from pathlib import Path

import pytest
from cryptography import x509

from mesh.errors import SubstrateError
from mesh.identity import BACKDATED_SECONDS, GRACE_SECONDS, Authority

A = "spiffe://pspd.local/a"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path / "ca")


def certificate(directory: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((directory / "current/cert.pem").read_bytes())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_authority_is_made_once_and_found_again(tmp_path: Path, authority: Authority) -> None:
    assert Authority.open(tmp_path / "ca").certificate == authority.certificate


def test_keys_are_readable_by_their_owner_alone(tmp_path: Path, authority: Authority) -> None:
    authority.issue(A, tmp_path / "identity", lifetime_seconds=60)
    assert mode(tmp_path / "ca") == 0o700
    assert mode(tmp_path / "ca/ca.key") == 0o600
    assert mode(tmp_path / "identity") == 0o700
    assert mode(tmp_path / "identity/current/key.pem") == 0o600


def test_a_certificate_carries_its_spiffe_id_and_is_signed_by_the_authority(
    tmp_path: Path, authority: Authority
) -> None:
    authority.issue(A, tmp_path, lifetime_seconds=60)
    issued = certificate(tmp_path)
    issued.verify_directly_issued_by(authority.certificate)
    names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [A]


def test_a_certificate_is_valid_a_little_before_it_was_issued_because_clocks_differ(
    tmp_path: Path, authority: Authority
) -> None:
    authority.issue(A, tmp_path, lifetime_seconds=60)
    issued = certificate(tmp_path)
    assert issued.not_valid_before_utc.timestamp() < time.time() - BACKDATED_SECONDS / 2
    assert issued.not_valid_after_utc.timestamp() == pytest.approx(time.time() + 60, abs=5)


def test_envoy_is_told_of_files_that_exist_and_of_the_directory_to_watch(tmp_path: Path, authority: Authority) -> None:
    authority.issue(A, tmp_path / "identity", lifetime_seconds=60)
    [pair] = json.loads((tmp_path / "identity/sds-certificate.json").read_text())["resources"]
    [trusted] = json.loads((tmp_path / "identity/sds-ca.json").read_text())["resources"]
    assert (tmp_path / pair["tls_certificate"]["certificate_chain"]["filename"]).exists()
    assert (tmp_path / pair["tls_certificate"]["private_key"]["filename"]).exists()
    assert (tmp_path / trusted["validation_context"]["trusted_ca"]["filename"]).exists()
    assert pair["tls_certificate"]["watched_directory"] == {"path": "identity"}


def test_a_new_certificate_replaces_the_current_one_and_leaves_it_to_whoever_reads_it(
    tmp_path: Path, authority: Authority
) -> None:
    authority.issue(A, tmp_path, lifetime_seconds=60)
    first = (tmp_path / "current").resolve()
    authority.issue(A, tmp_path, lifetime_seconds=60)
    assert (tmp_path / "current").resolve() != first
    assert first.exists()


def test_certificates_long_replaced_are_removed(tmp_path: Path, authority: Authority) -> None:
    old = tmp_path / f"v{time.time_ns() - (GRACE_SECONDS + 1) * 1_000_000_000}"
    old.mkdir()
    authority.issue(A, tmp_path, lifetime_seconds=60)
    assert not old.exists()


def test_renewal_is_due_at_half_of_the_lifetime(tmp_path: Path, authority: Authority) -> None:
    authority.issue(A, tmp_path, lifetime_seconds=1_000)
    assert not authority.renewal_due(tmp_path, A, now=time.time() + 490)
    assert authority.renewal_due(tmp_path, A, now=time.time() + 510)


def test_renewal_is_due_where_there_is_no_certificate(tmp_path: Path, authority: Authority) -> None:
    assert authority.renewal_due(tmp_path, A, now=time.time())


def test_renewal_is_due_where_the_certificate_is_of_another_identity(tmp_path: Path, authority: Authority) -> None:
    authority.issue("spiffe://pspd.local/b", tmp_path, lifetime_seconds=1_000)
    assert authority.renewal_due(tmp_path, A, now=time.time())


def test_renewal_is_due_where_another_authority_issued_the_certificate(tmp_path: Path, authority: Authority) -> None:
    Authority.open(tmp_path / "other").issue(A, tmp_path, lifetime_seconds=1_000)
    assert authority.renewal_due(tmp_path, A, now=time.time())


def test_an_authority_that_was_never_finished_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "ca.key").write_text("half")
    Authority.open(tmp_path)
    assert (tmp_path / "ca.pem").exists()


@pytest.mark.parametrize("broken", ["ca.pem", "ca.key"])
def test_an_authority_that_cannot_be_read_is_refused_and_the_sentence_says_where(tmp_path: Path, broken: str) -> None:
    Authority.open(tmp_path)
    (tmp_path / broken).write_text("not a PEM")
    with pytest.raises(SubstrateError, match=str(tmp_path)):
        Authority.open(tmp_path)


def test_an_authority_whose_key_is_missing_is_refused(tmp_path: Path) -> None:
    Authority.open(tmp_path)
    (tmp_path / "ca.key").unlink()
    with pytest.raises(SubstrateError):
        Authority.open(tmp_path)


def test_an_authority_whose_key_is_anothers_is_refused(tmp_path: Path) -> None:
    Authority.open(tmp_path / "one")
    Authority.open(tmp_path / "two")
    (tmp_path / "one/ca.key").write_bytes((tmp_path / "two/ca.key").read_bytes())
    with pytest.raises(SubstrateError, match="its key is not"):
        Authority.open(tmp_path / "one")
