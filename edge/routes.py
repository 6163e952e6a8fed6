"""Which call goes where: the route tables "grpc" and "rest".

Rules: the mesh's position and the weights stand in the route table and nowhere else, so a call is served under exactly
one position. Paths match exactly. One virtual host takes every host name: who looks us up as localhost, by address
or as pspd.local gets the same answer. What matches no route, the edge answers by itself (edge/answers.py).

A failed attempt may be sent to another workload only where the route says so (retries; mesh/invariants.py refuses them of
methods that change something), and of native gRPC only for methods that declare to change nothing.
"""

from typing import Any

from edge.answers import edge_answers, header, wrong_method
from edge.clusters import REFLECTION_CLUSTER
from edge.cors import cors_policy, preflights
from edge.descriptors import Method, grpc_services, merged, methods
from edge.forward import service_route
from edge.switch import switched
from edge.transcoder import HIDDEN_FROM_JSON, STREAM_FILTERS, UNARY_FILTERS
from mesh.events import Edge, Route
from mesh.topology import Service, Topology
from mesh.xds.clusters import duration
from mesh.xds.messages import message

PROTOCOLS = {"grpc": "grpc", "rest": "http"}  # path of the edge -> protocol of the services behind it
NATIVE_TIMEOUT_SECONDS = 30.0  # of a gRPC method that no route declares
PAGE_BYTES_MAX = 65_536  # Envoy's own bound of 4 KiB is too small for the page


def route_table(topology: Topology, edge: Edge, asked: str, position: int) -> Any:
    """asked: the path of the edge, "grpc" or "rest"."""
    services = {name: service for name, service in topology.services.items() if service.protocol == PROTOCOLS[asked]}
    declared = [(name, service, route) for name, service in services.items() for route in service.routes]
    routes = [_declared_route(*one, transcoded=asked == "grpc") for one in declared]
    routes += preflights(edge.allow_origins, sorted({route.path for _, _, route in declared}))
    routes += [wrong_method(path, allowed) for path, allowed in _methods_by_path(declared).items()]
    if asked == "grpc":
        routes += _native_routes(topology, services) + [_reflection_route(prefix) for prefix in _REFLECTED]
    calls = [f"{route.method} {route.path}" for _, _, route in declared]
    routes += edge_answers(asked, topology.telemetry.trace_url, calls)
    return message("envoy.config.route.v3.RouteConfiguration")(
        name=asked,
        virtual_hosts=[
            {
                "name": asked,
                "domains": ["*"],
                "routes": routes,
                "typed_per_filter_config": cors_policy(edge.allow_origins, {route.method for _, _, route in declared}),
            }
        ],
        response_headers_to_add=[
            header("x-meshlog-position", str(position)),
            header(
                "x-request-id", "%REQ(x-request-id)%"
            ),  # filters are to see it, which Envoy's own option comes too late for
            header("x-trace-id", "%TRACE_ID%"),
        ],
        max_direct_response_body_size_bytes={"value": PAGE_BYTES_MAX},
    )


def _methods_by_path(declared: list[tuple[str, Service, Route]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for _, _, route in declared:
        found.setdefault(route.path, []).append(route.method)
    return found


def _declared_route(name: str, service: Service, route: Route, *, transcoded: bool) -> Any:
    match = {"path": route.path, "headers": [{"name": ":method", "string_match": {"exact": route.method}}]}
    filters = () if not transcoded else STREAM_FILTERS if route.streams else UNARY_FILTERS
    built = service_route(route.name, match, name, service, route.timeout_seconds, route.retries, switched(on=filters))
    built.response_headers_to_remove.extend(HIDDEN_FROM_JSON if transcoded else ())
    return _traced_as(f"{route.method} {route.path}", built)


def _native_routes(topology: Topology, services: dict[str, Service]) -> list[Any]:
    described = methods(merged(topology.contracts), grpc_services(topology))
    return [
        _native_route(name, service, method)
        for name, service in services.items()
        for method in described
        if method.service in service.grpc_services
    ]


def _native_route(name: str, service: Service, method: Method) -> Any:
    """For clients that speak gRPC themselves: as long and as often as the HTTP route of the same method."""
    declared = next((route for route in service.routes if route.path == method.http_path), None)
    timeout_seconds = declared.timeout_seconds if declared else NATIVE_TIMEOUT_SECONDS
    retries = declared.retries if declared and method.changes_nothing else 0
    match = {"path": method.grpc_path, "grpc": {}}
    # a gRPC stream may be asked by a stream; and a message that is too large is the server's to refuse
    unbuffered = switched(off=["buffer"])
    full_name = method.grpc_path.lstrip("/")
    return _traced_as(full_name, service_route(full_name, match, name, service, timeout_seconds, retries, unbuffered))


def _traced_as(operation: str, route: Any) -> Any:
    """Names the edge's span as the semantic conventions do: "GET /a/hello", "pspd.ServiceA/SayHello"."""
    route.decorator.operation = operation
    route.decorator.propagate.value = False  # the sidecar's span is the sidecar's
    return route


_REFLECTED = (
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
    "/grpc.health.v1.Health/",
)


def _reflection_route(prefix: str) -> Any:
    """What the edge's own gRPC server answers. No timeout: a client keeps its reflection stream open while it talks."""
    return message("envoy.config.route.v3.Route")(
        name=prefix.strip("/"),
        match={"prefix": prefix, "grpc": {}},
        route={"cluster": REFLECTION_CLUSTER, "timeout": duration(0)},
        typed_per_filter_config=switched(off=["buffer"]),
    )
