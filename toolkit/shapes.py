"""Types of JSON values: a document is checked against one whole, and refused in one form of words."""

import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import msgspec

from toolkit.errors import ToolkitError

T = TypeVar("T")
Count = Annotated[int, msgspec.Meta(ge=0)]
"""A number of things."""
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z", description="a SHA-256 of 64 digits")]
"""A SHA-256 as hashes are written here, in lower case."""
_MISSING = re.compile(r"missing required field `([^`]*)`")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[(\.\.\.)\]")


def is_sha256(value: Any) -> bool:
    """Whether the value is a SHA-256 as hashes are written here: 64 lower-case hexadecimal digits."""
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def shaped(document: Any, kind: type[T], what: str, mend: str) -> T:
    """Return a document of JSON values as it is, if it has the type `kind`: a TypedDict, or lists and dicts of them.

    A bool is not a number, and a whole number may stand for a float. Raises ToolkitError that names the first value of
    another type, what it is, and what was expected; `what` names the document, and `mend` says how to make it again.
    """
    converted(document, kind, what, mend)
    return document  # type: ignore[no-any-return]


def converted(document: Any, kind: type[T], what: str, mend: str) -> T:
    """Value of the type `kind` that a document stands for, such as a dataclass for an object; errors as of `shaped`."""
    try:
        return msgspec.convert(document, kind)
    except UnicodeEncodeError as error:
        raise ToolkitError(f"{what}: a text is no Unicode ({error}). {mend}") from None
    except msgspec.ValidationError as error:
        place, value, expected = _fault(document, kind, str(error))
        if not place:
            raise ToolkitError(f"{what} is {type(value).__name__}, expected an object. {mend}") from None
        raise ToolkitError(f"{what}: {place} is {value!r:.80}, expected {expected}. {mend}") from None


def _fault(value: Any, kind: Any, said: str) -> tuple[str, Any, str]:
    """Place of the value that msgspec refused, as in "frames[0].cq", the value, and in words what was expected."""
    place = ""
    steps = [name or index or key for name, index, key in _STEP.findall(said.rpartition("`$")[2].rstrip("`"))]
    for step in [*steps, *_MISSING.findall(said)]:
        kind = _bare(kind)
        if step == "...":
            _, kind = get_args(kind)
            step = next(key for key in value if not _is(value[key], kind))
        elif isinstance(value, list | tuple):
            kind = get_args(kind)[0]
            place, value = f"{place}[{step}]", value[int(step)]
            continue
        else:
            kind = get_type_hints(kind, include_extras=True)[step]
        place, value = f"{place}.{step:.80}", value.get(step)
    return place.removeprefix("."), value, (", got `" not in said and _limits(kind)) or _words(kind)


def _is(value: Any, kind: Any) -> bool:
    """Whether the value is of the type."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _bare(kind: Any) -> Any:
    """Type within annotations; of a union, the member that holds other values."""
    while get_origin(kind) in (Annotated, NotRequired, Required):
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        return next(_bare(part) for part in get_args(kind) if part is not NoneType)
    return kind


def _words(kind: Any) -> str:
    """What a value of a type is, in the words of a refusal."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (NotRequired, Required, Annotated):
        return _words(parts[0])
    if origin in (Union, UnionType):
        return " or ".join(map(_words, parts))
    if origin is Literal:
        return "one of " + ", ".join(map(str, parts))
    kind = origin or kind
    if kind is float:
        return "int or float"
    return "dict" if is_typeddict(kind) or is_dataclass(kind) else "list" if kind is tuple else str(kind.__name__)


def _limits(kind: Any) -> str:
    """What a type limits its values to, such as "0 to 63"; empty where it does not, or says it in no such words."""
    while get_origin(kind) in (NotRequired, Required):
        kind = get_args(kind)[0]
    meta = get_args(kind)[1] if get_origin(kind) is Annotated else msgspec.Meta()
    if meta.description or meta.ge is None:
        return meta.description or ""
    return f"{meta.ge} or more" if meta.le is None else f"{meta.ge} to {meta.le}"


def check_fields(cls: type, values: Mapping[str, Any], what: str) -> None:
    """Raise ToolkitError unless each value has the type of the dataclass's field of that name."""
    hints = get_type_hints(cls)
    for name in values.keys() & hints.keys():
        kinds = get_args(hints[name]) or (hints[name],)
        if float in kinds:
            kinds = (*kinds, int)
        if type(values[name]) not in kinds:
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise ToolkitError(f"{what}: {name} is {values[name]!r:.80}, expected {expected}.")
