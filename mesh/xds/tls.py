"""Mutual TLS between nodes: TLS 1.3 both ways, identities as SPIFFE ids, keys by file SDS.

Rules: keys never travel by xDS. What is named here are files in the Envoy's own directory (mesh/identity.py writes
them), so the configuration is the same wherever a node runs. The file SDS secret "ca" carries the authority alone;
whom to trust beyond that stands in each context, because one secret is shared by all and the last one would win.
"""

from typing import Any

from mesh.spiffe import CA_FILE, CA_SECRET, CERTIFICATE_FILE, CERTIFICATE_SECRET, DIRECTORY, spiffe_id
from mesh.xds.clusters import duration
from mesh.xds.messages import message, packed

LONGEST_CONNECTION_SECONDS = 3_600.0
HANDSHAKE_SECONDS = 5.0


def connection_seconds(certificate_lifetime_seconds: float) -> float:
    """How old a connection may get. Certificates are renewed at half of their lifetime: with a quarter, the last
    connection made with the old one ends well before that certificate does."""
    return min(LONGEST_CONNECTION_SECONDS, max(1.0, certificate_lifetime_seconds / 4))


def upstream_mutual_tls(server: str, *, alpn: str = "h2") -> Any:
    """The TransportSocket that shows our certificate and speaks to nobody but the SPIFFE id `server`.

    alpn: "h2", or "http/1.1" where the cluster speaks that.
    """
    context = message("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext")(
        common_tls_context=_common({"exact": server}, [alpn]),
        max_session_keys={"value": 0},  # a resumed session would outlive the certificates it was made with
    )
    return _transport_socket(context)


def downstream_mutual_tls(trust_domain: str) -> Any:
    """The TransportSocket that asks every client for a certificate of our authority and trust domain.

    Which identity of the trust domain may do what is for the RBAC filter to say (http.rbac_filter).
    """
    context = message("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext")(
        common_tls_context=_common({"prefix": spiffe_id(trust_domain, "")}, ["h2", "http/1.1"]),
        require_client_certificate={"value": True},
        disable_stateless_session_resumption=True,  # see max_session_keys
        disable_stateful_session_resumption=True,
    )
    return _transport_socket(context)


def _common(peer: dict[str, str], alpn: list[str]) -> dict[str, Any]:
    return {
        # both: an upstream's maximum is TLS 1.2 unless said otherwise, and then every connection fails
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        "alpn_protocols": alpn,
        "tls_certificate_sds_secret_configs": [_secret(CERTIFICATE_SECRET, CERTIFICATE_FILE)],
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": [{"san_type": "URI", "matcher": peer}]},
            "validation_context_sds_secret_config": _secret(CA_SECRET, CA_FILE),
        },
    }


def _secret(name: str, file: str) -> dict[str, Any]:
    source = {
        "path_config_source": {"path": f"{DIRECTORY}/{file}"},
        "resource_api_version": "V3",
        "initial_fetch_timeout": duration(HANDSHAKE_SECONDS),
    }
    return {"name": name, "sds_config": source}


def _transport_socket(context: Any) -> Any:
    return message("envoy.config.core.v3.TransportSocket")(
        name="envoy.transport_sockets.tls", typed_config=packed(context)
    )
