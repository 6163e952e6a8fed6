"""OpenTelemetry's standard variables over what the topology file says of telemetry. Pure: the variables are handed in.

OTEL_EXPORTER_OTLP_TRACES_ENDPOINT   before OTEL_EXPORTER_OTLP_ENDPOINT: where spans go
OTEL_EXPORTER_OTLP_TRACES_PROTOCOL   before OTEL_EXPORTER_OTLP_PROTOCOL: grpc or http/protobuf
OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG   how many calls are traced

Rules, the specification's: an empty variable is not set; the general endpoint is a base, to which HTTP adds /v1/traces,
and the one for traces is the whole address.
"""

from collections.abc import Mapping
from dataclasses import replace

from mesh.errors import SubstrateError
from mesh.events import Telemetry

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SAMPLER = "OTEL_TRACES_SAMPLER"
SAMPLER_ARGUMENT = "OTEL_TRACES_SAMPLER_ARG"

# the parent decides in any case: that is how the mesh samples
_SAMPLERS = ("always_on", "always_off", "traceidratio")
_TRACES = "/v1/traces"
_HTTP_PORT = ":4318"


def names_endpoint(variables: Mapping[str, str]) -> bool:
    return bool(variables.get(TRACES_ENDPOINT) or variables.get(ENDPOINT))


def overridden(telemetry: Telemetry, variables: Mapping[str, str]) -> Telemetry:
    """`telemetry` as `variables` will have it. Raises: SubstrateError."""
    said = variables.get(TRACES_ENDPOINT) or variables.get(ENDPOINT) or telemetry.endpoint
    endpoint = said.rstrip("/")
    if endpoint and "://" not in endpoint:
        endpoint = f"http://{endpoint}"  # "localhost:4317" is common where gRPC is meant
    protocol = next((variables[name] for name in PROTOCOLS if variables.get(name)), "")
    if not protocol:
        protocol = "http/protobuf" if names_endpoint(variables) and _looks_like_http(endpoint) else telemetry.protocol
    if variables.get(TRACES_ENDPOINT) and protocol != "grpc":
        if not endpoint.endswith(_TRACES):
            raise SubstrateError(
                f"{TRACES_ENDPOINT} is {said!r}; spans can only be sent to an address that ends in {_TRACES}"
            )
        endpoint = endpoint.removesuffix(_TRACES)
    percent = _sampling_percent(telemetry.sampling_percent, variables)
    return replace(telemetry, endpoint=endpoint, protocol=protocol, sampling_percent=percent)


def _looks_like_http(endpoint: str) -> bool:
    """gRPC knows no path, and 4318 is registered for OTLP over HTTP: gRPC sent there would be lost without a word."""
    authority, _, path = endpoint.partition("://")[2].partition("/")
    return bool(path) or authority.endswith(_HTTP_PORT)


def _sampling_percent(otherwise: float, variables: Mapping[str, str]) -> float:
    sampler = variables.get(SAMPLER)
    if not sampler:
        return otherwise
    match sampler.removeprefix("parentbased_"):
        case "always_on":
            return 100.0
        case "always_off":
            return 0.0
        case "traceidratio":
            return _ratio(variables.get(SAMPLER_ARGUMENT) or "1") * 100
        case _:
            known = ", ".join((*_SAMPLERS, *(f"parentbased_{name}" for name in _SAMPLERS)))
            raise SubstrateError(
                f"{SAMPLER} is {sampler!r}, which Envoy cannot do; set it to one of {known}, or unset it"
            )


def _ratio(said: str) -> float:
    try:
        ratio = float(said)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise SubstrateError(f"{SAMPLER_ARGUMENT} is {said!r}; it must be a share from 0 to 1, as in 0.25")
    return ratio
