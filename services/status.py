"""Why a service said no, in one form for both protocols: google.rpc.Status, with google.rpc.BadRequest as its details.

Over gRPC it travels as trailers; the edge's transcoder prints those as the JSON that the REST twins answer directly.

error                        gRPC                    HTTP
InvalidArgument              3  INVALID_ARGUMENT     400
TooManyCalls                 8  RESOURCE_EXHAUSTED   429
whatever nobody expected     13 INTERNAL             500   "internal error": the log has the rest, the caller does not

Nothing here needs gRPC or protobuf: the REST twins do without them.
"""

from dataclasses import dataclass
from typing import Any, Final

from services.rules import InvalidArgument

INVALID_ARGUMENT: Final = 3
RESOURCE_EXHAUSTED: Final = 8
INTERNAL: Final = 13


class TooManyCalls(Exception):
    def __init__(self, calls_max: int) -> None:
        super().__init__(f"{calls_max:,} calls are being answered already, and no more are at once; try again")


@dataclass(frozen=True, slots=True)
class Violation:
    """google.rpc.BadRequest.FieldViolation"""

    field: str
    description: str
    reason: str


@dataclass(frozen=True, slots=True)
class Status:
    code: int
    message: str
    violation: Violation | None = None


def status_of(error: BaseException) -> Status:
    """What the caller is told of `error`."""
    match error:
        case InvalidArgument():
            return Status(INVALID_ARGUMENT, str(error), Violation(error.parameter, str(error), error.reason))
        case TooManyCalls():
            return Status(RESOURCE_EXHAUSTED, str(error))
        case _:
            return Status(INTERNAL, "internal error")


def as_json(status: Status) -> dict[str, Any]:
    """`status` with the names that the edge's transcoder prints (preserve_proto_field_names)."""
    details: list[dict[str, Any]] = []
    if status.violation:
        violation = status.violation
        fields = {"field": violation.field, "description": violation.description, "reason": violation.reason}
        details = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "field_violations": [fields]}]
    return {"code": status.code, "message": status.message, "details": details}
