"""Turns a filter on or off for one route."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message

from mesh.xds.messages import message, packed


def switched(*, on: Sequence[str] = (), off: Sequence[str] = ()) -> dict[str, Message]:
    """typed_per_filter_config of a route, by the names of filters."""
    return {name: packed(_switch(disabled=name in off)) for name in (*on, *off)}


def _switch(*, disabled: bool) -> Any:
    return message("envoy.config.route.v3.FilterConfig")(disabled=disabled, config={})
