"""Who is who: SPIFFE ids, and the files of a directory that prove one.

    identity/
        current -> v<time>   what is in force; replaced in one step
        v<time>/             cert.pem, key.pem, ca.pem
        sds-certificate.json what Envoy reads: the secret "certificate"
        sds-ca.json          and the secret "ca"

Kept apart from mesh/identity.py so that who only names an identity need not load cryptography (8 MB, 0.1 s).
"""

DIRECTORY = "identity"  # relative to an Envoy's own directory, as every path that Envoy reads
CURRENT = "current"
CERTIFICATE_SECRET = "certificate"  # noqa: S105 - the name of a secret, not a secret
CA_SECRET = "ca"  # noqa: S105
CERTIFICATE_FILE = "sds-certificate.json"
CA_FILE = "sds-ca.json"

EDGE = "edge"
CONTROL_PLANE = "control-plane"


def spiffe_id(trust_domain: str, name: str) -> str:
    """The identity of a service ("a"), of the edge (EDGE) or of the control plane (CONTROL_PLANE)."""
    return f"spiffe://{trust_domain}/{name}"
