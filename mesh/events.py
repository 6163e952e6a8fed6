"""What happened. One commit of events is one record of the log (mesh/log).

Rules: past tense; plain data; a type's name is a storage format and never changes; a new field has a default.
Times are microseconds since the epoch (UTC). Durations say their unit in their name.

stream          events
mesh            what configuration is built from: ContractPublished ... TopologyApplied
nodes/<id>      what each Envoy answered: SnapshotAccepted, SnapshotRejected
calls/<edge>    the journal: CallAnswered, StreamEnded, CallFinished, CallsLost
runs            what was measured: BenchmarkBegun, BenchmarkEnded
"""

from dataclasses import dataclass, field

# What the events carry


@dataclass(frozen=True, slots=True)
class Route:
    """One HTTP route to a method of a service. `path` is exact."""

    name: str  # "a.hello"
    method: str  # "GET"
    path: str  # "/a/hello"
    timeout_seconds: float  # of the whole answer, its last byte included
    retries: int = 0  # how often a failed attempt may be sent to another workload; only for what changes nothing
    streams: bool = False  # the answer is a stream of messages


@dataclass(frozen=True, slots=True)
class Edge:
    """Where the outside world gets in."""

    id: str = "edge"
    address: str = "127.0.0.1"
    grpc_port: int = 8080
    rest_port: int = 8081
    admin_port: int = 9901
    grpc_host: str = "pspd.local"
    rest_host: str = "pspd-rest.local"
    allow_origins: tuple[str, ...] = ()  # of other sites whose pages may call (CORS); "*": any
    journal: bool = (
        True  # False: calls leave no trace in the log; to measure what the journal costs, and for nothing else
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """What one mesh takes before it says no."""

    request_headers_kib: int = 60
    request_headers_count: int = 100
    request_body_bytes: int = 1_048_576
    request_headers_timeout_seconds: float = 10.0  # a slow client gets 408
    request_timeout_seconds: float = 30.0  # for the whole request to arrive
    stream_idle_timeout_seconds: float = 330.0  # above the longest pause that B may make (300 s)
    connection_idle_timeout_seconds: float = 300.0
    connections: int = 8_192  # from clients, at once
    streams_per_connection: int = 256  # of one HTTP/2 client, at once
    requests_per_service: int = 8_192  # in flight and waiting, to one version of a service
    connections_per_service: int = 8_192


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Where spans go, and how many calls are traced."""

    endpoint: str = ""  # "http://127.0.0.1:4317"; empty: nowhere
    protocol: str = "grpc"  # as OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" or "http/protobuf"
    sampling_percent: float = 100.0  # of calls that bring no trace context
    trace_url: str = ""  # where a person looks at a trace; {trace_id} is filled in


@dataclass(frozen=True, slots=True)
class Identity:
    trust_domain: str = "pspd.local"
    certificate_lifetime_seconds: int = 86_400


@dataclass(frozen=True, slots=True)
class Workload:
    """One running copy of a service, and the sidecar in front of it."""

    id: str  # "a-v1-1"
    service: str
    version: str
    address: str  # where its sidecar is reached: "127.0.0.1:15100"
    app: str  # where the sidecar reaches it: "unix:app.sock" (relative to the sidecar's directory) or "127.0.0.1:50051"


# mesh


@dataclass(frozen=True, slots=True)
class ContractPublished:
    """A FileDescriptorSet (with its imports) that services may implement and the edge may transcode."""

    contract: str
    descriptor_set: bytes


@dataclass(frozen=True, slots=True)
class ContractWithdrawn:
    contract: str


@dataclass(frozen=True, slots=True)
class ServiceDeclared:
    service: str
    protocol: str  # "grpc" or "http": which path of the edge leads to it
    contract: str = ""  # of a gRPC service
    grpc_services: tuple[str, ...] = ()  # full names: "pspd.ServiceA"


@dataclass(frozen=True, slots=True)
class ServiceRetired:
    service: str


@dataclass(frozen=True, slots=True)
class RoutesPublished:
    service: str
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class WorkloadJoined:
    workload: Workload


@dataclass(frozen=True, slots=True)
class WorkloadLeft:
    id: str
    service: str


@dataclass(frozen=True, slots=True)
class TrafficShifted:
    """From this commit on, callers of `service` are spread over its versions by `weights` (percent, sum 100)."""

    service: str
    weights: dict[str, int]


@dataclass(frozen=True, slots=True)
class FaultInjected:
    """From this commit on, the sidecar of `workload` delays calls on their way in. The fault leaves with the workload."""

    workload: str  # its id
    delay_ms: float
    percent: float = 100.0  # of the calls


@dataclass(frozen=True, slots=True)
class FaultCleared:
    workload: str


@dataclass(frozen=True, slots=True)
class EdgeOpened:
    edge: Edge


@dataclass(frozen=True, slots=True)
class LimitsSet:
    limits: Limits


@dataclass(frozen=True, slots=True)
class TelemetryPointed:
    telemetry: Telemetry


@dataclass(frozen=True, slots=True)
class IdentityGoverned:
    identity: Identity


@dataclass(frozen=True, slots=True)
class DeclaredService:
    """What a topology file says of one service."""

    protocol: str
    contract: str = ""
    grpc_services: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    weights: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a topology file says, placed on one substrate: every port and address is settled."""

    contracts: dict[str, bytes] = field(default_factory=dict)
    services: dict[str, DeclaredService] = field(default_factory=dict)
    workloads: dict[str, Workload] = field(default_factory=dict)
    edge: Edge = field(default_factory=Edge)
    limits: Limits = field(default_factory=Limits)
    telemetry: Telemetry = field(default_factory=Telemetry)
    identity: Identity = field(default_factory=Identity)


@dataclass(frozen=True, slots=True)
class TopologyApplied:
    """What was declared last: the middle of the three-way comparison that the next declaration starts from."""

    declaration: Declaration


MeshEvent = (
    ContractPublished
    | ContractWithdrawn
    | ServiceDeclared
    | ServiceRetired
    | RoutesPublished
    | WorkloadJoined
    | WorkloadLeft
    | TrafficShifted
    | FaultInjected
    | FaultCleared
    | EdgeOpened
    | LimitsSet
    | TelemetryPointed
    | IdentityGoverned
    | TopologyApplied
)


# nodes/<id>


@dataclass(frozen=True, slots=True)
class SnapshotAccepted:
    node: str
    position: int  # of `mesh`
    digest: str  # SHA-256 of what was sent, hexadecimal
    builders: str  # revision of the code that built it


@dataclass(frozen=True, slots=True)
class SnapshotRejected:
    """Envoy said no and keeps what it had."""

    node: str
    position: int
    type_url: str
    reason: str
    builders: str


NodeEvent = SnapshotAccepted | SnapshotRejected


# calls/<edge>: fields of CallAnswered and StreamEnded are guaranteed (written before the client sees the answer),
# those of CallFinished are best effort (from Envoy's access log, may be missing after a crash)


@dataclass(frozen=True, slots=True)
class CallAnswered:
    call_id: str  # x-request-id, chosen by the edge
    trace_id: str
    position: int  # of `mesh`, that the call was served under
    asked: str  # the path of the edge that was asked: "grpc" or "rest"
    method: str
    path: str  # with its query, as the client sent it
    service: str  # empty: the edge answered by itself
    version: str
    http_status: int
    grpc_status: int | None  # None: the answer is not gRPC's
    started_at_us: int
    answered_at_us: int
    streaming: bool = False  # a StreamEnded will follow
    request_headers: dict[str, str] = field(default_factory=dict)  # the few that a replay needs
    request_body: bytes = b""
    request_body_bytes: int = 0  # more than len(request_body): the rest was not kept


@dataclass(frozen=True, slots=True)
class StreamEnded:
    call_id: str
    trace_id: str
    position: int
    grpc_status: int | None
    messages: int
    bytes: int
    ended_at_us: int


@dataclass(frozen=True, slots=True)
class CallFinished:
    """What Envoy knew when it had sent the last byte, or the client had gone."""

    call_id: str
    workload: str  # address of the sidecar that answered; empty: the edge itself
    response_flags: str  # Envoy's: "DC" the client left, "UC" the workload did; empty: nothing to say
    details: str
    bytes_sent: int
    attempts: int
    duration_us: int
    upstream_us: int  # until the first byte came back; 0: nobody was asked


@dataclass(frozen=True, slots=True)
class CallsLost:
    """Calls that were answered and could not be recorded. Times bound them."""

    from_us: int
    to_us: int
    count: int
    reason: str


CallEvent = CallAnswered | StreamEnded | CallFinished | CallsLost


# runs


@dataclass(frozen=True, slots=True)
class BenchmarkBegun:
    run_id: str
    kind: str  # what is compared, as `meshlog bench` names it
    began_at_us: int
    seed: int  # of the order of the cells
    git_revision: str
    meshlog_version: str
    machine: dict[str, str]
    settings: dict[str, str]
    cells: int  # to be measured
    repetitions: int  # of every cell


@dataclass(frozen=True, slots=True)
class BenchmarkEnded:
    run_id: str
    outcome: str  # "finished", "interrupted" or "failed"
    ended_at_us: int
    measured: int  # repetitions that count
    voided: int  # repetitions that do not
    verdicts: tuple[str, ...]  # a sentence each
    results: str  # where they are


RunEvent = BenchmarkBegun | BenchmarkEnded

Event = MeshEvent | NodeEvent | CallEvent | RunEvent
