from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExecuteRequest(_message.Message):
    __slots__ = ("command", "command_id", "actor", "reason")
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    command: bytes
    command_id: str
    actor: str
    reason: str
    def __init__(self, command: _Optional[bytes] = ..., command_id: _Optional[str] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ExecuteReply(_message.Message):
    __slots__ = ("position", "events")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    position: int
    events: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, position: _Optional[int] = ..., events: _Optional[_Iterable[str]] = ...) -> None: ...

class AppendRequest(_message.Message):
    __slots__ = ("stream", "commit", "producer", "offset")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    stream: str
    commit: bytes
    producer: str
    offset: int
    def __init__(self, stream: _Optional[str] = ..., commit: _Optional[bytes] = ..., producer: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class AppendReply(_message.Message):
    __slots__ = ("position",)
    POSITION_FIELD_NUMBER: _ClassVar[int]
    position: int
    def __init__(self, position: _Optional[int] = ...) -> None: ...

class ProducedRequest(_message.Message):
    __slots__ = ("stream", "producer")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    stream: str
    producer: str
    def __init__(self, stream: _Optional[str] = ..., producer: _Optional[str] = ...) -> None: ...

class ProducedReply(_message.Message):
    __slots__ = ("offset",)
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    offset: int
    def __init__(self, offset: _Optional[int] = ...) -> None: ...

class ReadRequest(_message.Message):
    __slots__ = ("stream", "after", "limit")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    stream: str
    after: int
    limit: int
    def __init__(self, stream: _Optional[str] = ..., after: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("stream", "position", "commit")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    stream: str
    position: int
    commit: bytes
    def __init__(self, stream: _Optional[str] = ..., position: _Optional[int] = ..., commit: _Optional[bytes] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("position", "nodes", "calls", "faults")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    position: int
    nodes: _containers.RepeatedCompositeFieldContainer[NodeStatus]
    calls: _containers.RepeatedCompositeFieldContainer[CallBooks]
    faults: _containers.RepeatedCompositeFieldContainer[FaultInForce]
    def __init__(self, position: _Optional[int] = ..., nodes: _Optional[_Iterable[_Union[NodeStatus, _Mapping]]] = ..., calls: _Optional[_Iterable[_Union[CallBooks, _Mapping]]] = ..., faults: _Optional[_Iterable[_Union[FaultInForce, _Mapping]]] = ...) -> None: ...

class FaultInForce(_message.Message):
    __slots__ = ("workload", "delay_ms", "percent")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    DELAY_MS_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    workload: str
    delay_ms: float
    percent: float
    def __init__(self, workload: _Optional[str] = ..., delay_ms: _Optional[float] = ..., percent: _Optional[float] = ...) -> None: ...

class CallBooks(_message.Message):
    __slots__ = ("edge", "recorded", "lost")
    EDGE_FIELD_NUMBER: _ClassVar[int]
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    edge: str
    recorded: int
    lost: int
    def __init__(self, edge: _Optional[str] = ..., recorded: _Optional[int] = ..., lost: _Optional[int] = ...) -> None: ...

class NodeStatus(_message.Message):
    __slots__ = ("id", "kind", "connected", "served", "acknowledged", "rejected")
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    SERVED_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    id: str
    kind: str
    connected: bool
    served: int
    acknowledged: int
    rejected: str
    def __init__(self, id: _Optional[str] = ..., kind: _Optional[str] = ..., connected: _Optional[bool] = ..., served: _Optional[int] = ..., acknowledged: _Optional[int] = ..., rejected: _Optional[str] = ...) -> None: ...
