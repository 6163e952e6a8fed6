"""A small declaration and ways to change it, for tests that need a mesh which makes sense."""

from dataclasses import replace

from mesh.events import Declaration, DeclaredService, Route, Workload

HELLO = Route("a.hello", "GET", "/a/hello", 15.0, 3)
NUMBERS = Route("b.numbers", "GET", "/b/numbers", 310.0, 2, streams=True)


def workload(service: str, version: str, number: int, port: int) -> Workload:
    return Workload(f"{service}-{version}-{number}", service, version, f"127.0.0.1:{port}", "unix:app.sock")


A_V1 = workload("a", "v1", 1, 15100)
A_V2 = workload("a", "v2", 1, 15110)
B_V1 = workload("b", "v1", 1, 15200)
A = DeclaredService("grpc", "pspd", ("pspd.ServiceA",), (HELLO,))
B = DeclaredService("http", routes=(NUMBERS,))


def by_id(*workloads: Workload) -> dict[str, Workload]:
    return {workload.id: workload for workload in workloads}


DECLARED = Declaration({"pspd": b"descriptors"}, {"a": A, "b": B}, by_id(A_V1, A_V2, B_V1))


def weighted(declaration: Declaration, service: str, weights: dict[str, int]) -> Declaration:
    changed = replace(declaration.services[service], weights=weights)
    return replace(declaration, services={**declaration.services, service: changed})
