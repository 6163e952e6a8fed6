"""Who is let in by a sidecar, and that nobody notices when keys change."""

import asyncio
import subprocess
import time
from pathlib import Path

import pytest

from mesh.identity import Authority
from mesh.spiffe import spiffe_id
from mesh.tests.load import load
from mesh.tests.meshes import Mesh, a_mesh

pytestmark = pytest.mark.mesh

DEFAULT = Path(__file__).parents[2] / "manifests" / "topology.toml"


def sidecar_port(mesh: Mesh) -> int:
    (port,) = next(p["ports"] for p in mesh.status()["processes"] if p["name"] == "sidecar-a-rest-v1-1")
    return int(port)


def call_with(mesh: Mesh, *arguments: str, scheme: str = "https") -> subprocess.CompletedProcess[str]:
    url = f"{scheme}://127.0.0.1:{sidecar_port(mesh)}/a/hello"
    return subprocess.run(
        ["curl", "-sS", "-k", "-i", "--max-time", "5", *arguments, url], capture_output=True, text=True
    )


def certificate(directory: Path) -> list[str]:
    return ["--cert", str(directory / "current" / "cert.pem"), "--key", str(directory / "current" / "key.pem")]


def test_the_edges_own_certificate_is_let_in(mesh: Mesh) -> None:
    """Or the refusals below would prove nothing."""
    answer = call_with(mesh, *certificate(mesh.run / "nodes" / "edge" / "identity"))
    assert "[A-REST]" in answer.stdout


def test_a_client_without_a_certificate_is_refused(mesh: Mesh) -> None:
    assert call_with(mesh).returncode != 0
    assert call_with(mesh, scheme="http").returncode != 0


def test_a_client_with_a_certificate_of_another_authority_is_refused(mesh: Mesh, tmp_path: Path) -> None:
    stranger = tmp_path / "identity"
    Authority.open(tmp_path / "ca").issue(spiffe_id("pspd.local", "edge"), stranger, lifetime_seconds=600)
    assert call_with(mesh, *certificate(stranger)).returncode != 0


def test_another_identity_of_the_meshs_own_authority_is_refused(mesh: Mesh) -> None:
    answer = call_with(mesh, *certificate(mesh.run / "nodes" / "sidecar-b-v1-1" / "identity"))
    assert "403" in answer.stdout.splitlines()[0]
    assert "[A-REST]" not in answer.stdout


def test_keys_and_sockets_are_readable_by_their_owner_alone(mesh: Mesh) -> None:
    keys = [*mesh.run.rglob("key.pem"), *(mesh.home / mesh.name / "ca").rglob("*key*")]
    assert keys
    assert all(key.stat().st_mode & 0o077 == 0 for key in keys)
    assert mesh.run.stat().st_mode & 0o077 == 0


async def test_certificates_rotate_under_load_without_a_failed_call() -> None:
    with a_mesh("rotation") as mesh:
        file = mesh.home / "topology.toml"
        file.write_text(
            DEFAULT.read_text().replace("certificate_lifetime_seconds = 86_400", "certificate_lifetime_seconds = 10")
        )
        await asyncio.to_thread(mesh.up, "--file", str(file))
        identities = [mesh.run / "nodes" / node / "identity" for node in ("edge", "sidecar-a-v1-1", "sidecar-b-v1-1")]
        begun = [(identity / "current").readlink() for identity in identities]
        until = time.monotonic() + 16  # past the life of the first certificates
        async with (
            load(mesh.grpc, "/a/hello?name=x", clients=4) as unary,
            load(mesh.grpc, "/b/numbers?count=5&delay_ms=20", clients=4) as streams,
        ):
            while time.monotonic() < until:
                await asyncio.sleep(0.5)
        assert all(
            (identity / "current").readlink() != before for identity, before in zip(identities, begun, strict=True)
        )
        assert len(unary.answers) > 500
        assert (unary.failed, streams.failed) == ([], [])


def test_the_edges_admin_port_reads_and_changes_nothing(mesh: Mesh) -> None:
    """Or any page in a browser could end the edge."""
    edge = mesh.pid("edge")
    assert mesh.curl("/ready", port=mesh.admin).stdout.strip() == "LIVE"
    assert "downstream_rq_active" in mesh.curl("/stats", port=mesh.admin).stdout
    for path in ("/quitquitquit", "/drain_listeners", "/logging?level=trace"):
        refused = mesh.curl(path, "-X", "POST", "-w", "%{http_code}", port=mesh.admin).stdout
        assert refused.endswith("403"), path
    assert mesh.curl("/stats", "-H", "Host: evil.example", "-w", "%{http_code}", port=mesh.admin).stdout.endswith("403")
    assert mesh.pid("edge") == edge
