"""Envoy's messages as official protobuf classes, from one descriptor set in a private pool.

Rules: only this module knows where the classes come from; nothing here touches the default pool, which
opentelemetry-proto fills with its own copies of shared files. A misspelt field raises ValueError at construction.
The set is collected by `make generate`; an extension whose message it lacks is added to the list there.
"""

from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

TYPE_PREFIX = "type.googleapis.com/"


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    described = descriptor_pb2.FileDescriptorSet.FromString(Path(__file__).with_name("envoy.binpb").read_bytes())
    for file in described.file:
        pool.Add(file)  # type: ignore[no-untyped-call, unused-ignore]
    return pool


def pool() -> descriptor_pool.DescriptorPool:
    """The private pool, for json_format, which must be told where an Any's type is described."""
    return _pool()


@cache
def message(name: str) -> Any:
    """The class of the message with the full name `name`, such as "envoy.config.route.v3.Route". Raises: KeyError."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))  # type: ignore[no-untyped-call, unused-ignore]


def type_url(resource: Message) -> str:
    return TYPE_PREFIX + resource.DESCRIPTOR.full_name


def packed(resource: Message) -> Any:
    """`resource` in an Any of the private pool; the same message gives the same bytes."""
    return message("google.protobuf.Any")(
        type_url=type_url(resource), value=resource.SerializeToString(deterministic=True)
    )


def unpacked(boxed: any_pb2.Any) -> Any:
    """What is in an Any. Raises: KeyError if the descriptor set lacks its type."""
    return message(boxed.type_url.removeprefix(TYPE_PREFIX)).FromString(boxed.value)
