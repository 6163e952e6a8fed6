"""Commits to try logs with, and any value of any type of event (hypothesis)."""

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from mesh.events import CallAnswered, Event, TrafficShifted
from mesh.log.port import Commit

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)  # Unicode: a lone surrogate is none
SIMPLE: Mapping[type, st.SearchStrategy[Any]] = {
    str: TEXT,
    bytes: st.binary(max_size=20),
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**64 - 1),
    float: st.floats(allow_nan=False),  # NaN is not equal to itself
    types.NoneType: st.none(),
}


def commit(name: str = "c", *events: Event, command_id: str = "") -> Commit:
    return Commit(
        name, command_id, "test", "to see", 1_700_000_000_000_000, events or (TrafficShifted("a", {"v1": 100}),)
    )


def call(name: str) -> CallAnswered:
    return CallAnswered(name, "0" * 32, 1, "grpc", "GET", "/a/hello?name=pspd", "a", "v1", 200, 0, 1, 2)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a type that events are made of."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    arguments = get_args(kind)
    if get_origin(kind) in (types.UnionType, Union):
        return st.one_of(*map(values, arguments))
    if get_origin(kind) is tuple:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if get_origin(kind) is dict:
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=3)
    assert isinstance(kind, type), kind
    assert is_dataclass(kind), kind
    hints = get_type_hints(kind)
    return st.builds(kind, **{field.name: values(hints[field.name]) for field in fields(kind)})


COMMITS = st.builds(
    Commit,
    TEXT,
    TEXT,
    TEXT,
    TEXT,
    SIMPLE[int],
    st.lists(st.one_of(*map(values, get_args(Event))), max_size=3).map(tuple),
)
