"""Tables of a TOML file, read strictly into dataclasses. Pure.

Rules: a key that the dataclass does not have is an error, and so is a field without a default that the table lacks;
nothing is converted (a quoted number is text, 1.0 is no whole number); every error says where, down to the key.
"""

import re
import reprlib
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

Record = TypeVar("Record")

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_IN_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "date": "a date",
    "datetime": "a date",
    "time": "a time",
}


class Misread(ValueError):
    """The value at `where` is not what was expected there."""


@dataclass(frozen=True, slots=True)
class PartOf:
    """Annotates a dictionary that holds some of the fields of `record`, to be put over another one by `dataclasses.replace`."""

    record: type


def read_table(record: type[Record], table: object, where: str = "") -> Record:
    """`table` as a `record`, a dataclass. Raises: Misread."""
    read = _fields(record, table, where)
    for field in fields(record):  # type: ignore[arg-type]
        if field.name not in read and _is_required(field):
            raise Misread(f"{at(where, field.name)} is missing")
    return record(**read)


def at(where: str, key: str) -> str:
    """The place of `key` in the table at `where`, as one would write it in TOML."""
    shown = key if _BARE_KEY.fullmatch(key) else reprlib.repr(key)
    return f"{where}.{shown}" if where else shown


def did_you_mean(wrong: str, known: list[str]) -> str:
    close = get_close_matches(wrong, known, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(known) or 'none'}"


def _fields(record: type, table: object, where: str) -> dict[str, Any]:
    kinds = _kinds(record)
    found = _as_table(table, where)
    for key in found:
        if key not in kinds:
            raise Misread(f"{at(where, key)} is not known here; {did_you_mean(key, list(kinds))}")
    return {key: _value(kinds[key], value, at(where, key)) for key, value in found.items()}


def _value(kind: Any, value: object, where: str) -> Any:
    if is_dataclass(kind) and isinstance(kind, type):
        return read_table(kind, value, where)
    arguments = get_args(kind)
    if get_origin(kind) is dict:
        return {key: _value(arguments[1], item, at(where, key)) for key, item in _as_table(value, where).items()}
    if get_origin(kind) is tuple:
        items = _leaf(list[Any], value, where)
        return tuple(_value(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(items))
    if get_origin(kind) is Annotated and isinstance(arguments[1], PartOf):
        return _fields(arguments[1].record, value, where)
    return _leaf(kind, value, where)


def _leaf(kind: Any, value: object, where: str) -> Any:
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        said = re.sub(r"`(\w+)`", lambda name: _IN_WORDS.get(name[1], name[1]), str(error))
        raise Misread(f"{where} is {reprlib.repr(value)}: {said[0].lower()}{said[1:]}") from None


def _as_table(value: object, where: str) -> dict[str, Any]:
    table: dict[str, Any] = _leaf(dict[str, Any], value, where)
    return table


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


@cache
def _kinds(record: type) -> dict[str, Any]:
    return get_type_hints(record, include_extras=True)
