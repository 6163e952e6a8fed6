"""Why the mesh says no. Whose fault it is stands in the type.

MeshError
├── Refused                  the command makes no sense now; nothing was appended
│   ├── UnknownService
│   ├── UnknownVersion
│   ├── UnknownWorkload
│   ├── WeightsDoNotSum
│   └── InvalidTopology      what the mesh would become contradicts itself
├── UnreadableFile           a topology file cannot be understood; it says where
├── UnreadableEvent          the log or a spool holds something that this meshlog cannot read
├── ConcurrentAppend         somebody else's commit came first; decide again
├── LogUnavailable           the log cannot keep its promise now; nothing was appended
├── ControlPlaneUnavailable  nobody answers the control API
└── SubstrateError           the place cannot run what the topology asks for: a taken port, a missing program, a full disk
"""


class MeshError(Exception):
    pass


class Refused(MeshError):
    pass


class UnknownService(Refused):
    def __init__(self, service: str, known: list[str]) -> None:
        super().__init__(f"no service is called {service!r}; there are {', '.join(known) or 'none yet'}")


class UnknownVersion(Refused):
    def __init__(self, service: str, version: str, known: list[str]) -> None:
        super().__init__(f"{service} has no workload of version {version!r}; there are {', '.join(known) or 'none'}")


class UnknownWorkload(Refused):
    def __init__(self, workload: str, known: list[str]) -> None:
        super().__init__(f"no workload is called {workload!r}; there are {', '.join(known) or 'none yet'}")


class WeightsDoNotSum(Refused):
    def __init__(self, service: str, weights: dict[str, int]) -> None:
        said = " ".join(f"{version}={percent}" for version, percent in weights.items()) or "none given"
        total = sum(weights.values())
        super().__init__(f"weights of {service} are percents from 0 to 100 and must sum to 100; {said} sums to {total}")


class InvalidTopology(Refused):
    pass


class UnreadableFile(MeshError):
    pass


class UnreadableEvent(MeshError):
    pass


class ConcurrentAppend(MeshError):
    def __init__(self, stream: str, expected: int, head: int) -> None:
        super().__init__(
            f"{stream} is at position {head}, not at {expected} as the command was decided against; try again"
        )


class LogUnavailable(MeshError):
    pass


class ControlPlaneUnavailable(MeshError):
    pass


class SubstrateError(MeshError):
    pass
