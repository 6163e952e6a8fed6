"""How commands speak: tables and sentences for people, JSON for programs."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import click


def say_json(value: Any) -> None:
    """One JSON value on one line. Bytes are base64."""
    click.echo(json.dumps(value, ensure_ascii=False, default=_plain))


def at(us: int) -> str:
    """Microseconds since the epoch as RFC 3339, UTC."""
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, tuple):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
