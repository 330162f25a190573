"""What is wrong with a setting, in words: pydantic finds it, and nobody but a programmer reads pydantic."""

from __future__ import annotations

import difflib
import logging
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

from r1net.errors import UsageError

log = logging.getLogger(__name__)

_HIDDEN = frozenset({"v", "kind"})
"""Fields that nobody sets: they tell messages apart."""
_SHOWN = 80
_SLIP = 0.85
"""How alike a mistyped variable is to what was meant."""
_COMMON = ("debug", "cache_dir")
"""What all programs of this package heed."""
Where = tuple[str | int, ...]


def settable(model: type[BaseModel]) -> list[str]:
    """The names that somebody may set."""
    return [name for name in model.model_fields if name not in _HIDDEN]


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that somebody may have meant; None where none is near."""
    like = {one.replace("_", "").lower(): one for one in known}
    close = difflib.get_close_matches(name.replace("_", "").lower(), like, n=1, cutoff=0.6)
    return like[close[0]] if close else None


def nearest(name: str, known: Iterable[str]) -> str:
    """What was meant, as a hint: the nearest of the known names, or all of them where none is near."""
    names = list(known)
    found = closest(name, names)
    return f"did you mean {found}?" if found else f"there are {', '.join(names)}"


@cache
def warn_of(variable: str, meant: str) -> None:
    """Say once that a variable of the environment is no setting."""
    log.warning("%s is no setting: did you mean %s?", variable, meant)


def look_for_slips(environ: Iterable[str], prefix: str, known: Iterable[str], others: Iterable[str] = ()) -> None:
    """Warn of variables with a program's prefix that are nearly its settings and no other program's."""
    names = [prefix + name.upper() for name in known]
    used = {*names, *(prefix + name.upper() for name in (*others, *_COMMON))}
    for variable in environ:
        if variable.startswith(prefix) and variable not in used:
            close = difflib.get_close_matches(variable, names, n=1, cutoff=_SLIP)
            if close:
                warn_of(variable, close[0])


def shown(value: object) -> str:
    """A value that somebody gave, short enough for a sentence."""
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def first_fault(error: ValidationError, model: type[BaseModel] | None = None) -> tuple[Where, str, str | None]:
    """Where the first fault is, what it is, and what to do. Where a value may be of several kinds, the kind that fits
    best tells."""
    faults = error.errors(include_url=False)
    key = faults[0]["loc"][:1]
    first = max((fault for fault in faults if fault["loc"][:1] == key), key=lambda fault: len(fault["loc"]))
    where = tuple(part for part in first["loc"] if not _is_branch(part))
    kind, context = first["type"], first.get("ctx") or {}
    if kind == "extra_forbidden" and where:
        known = _names_at(model, where[:-1]) if model is not None else []
        return where, "there is no such setting", nearest(str(where[-1]), known) if known else None
    words = _WORDS.get(kind)
    said = words(first["input"], context) if words else str(first["msg"]).removeprefix("Value error, ")
    if kind == "literal_error" and _is_text(first["input"]):
        return where, said, nearest(first["input"], _choices(context))
    return where, said, _within(context) or (_meaning(model, where) if model is not None else None)


def in_words(error: ValidationError, model: type[BaseModel] | None = None, of: str = "") -> UsageError:
    """The first fault as a sentence. `of` is what the settings are of, `model` knows their names."""
    where, said, hint = first_fault(error, model)
    name = ".".join(map(str, where))
    place = f"{of}: {name}" if of and name else of or name
    return UsageError(f"{place}: {said}" if place else said, hint=hint)


def _within(context: Mapping[str, Any]) -> str | None:
    """What would fit, where a number is out of its range."""
    return next((f"give {words.format(context[key])}" for key, words in _BOUNDS.items() if key in context), None)


def _meaning(model: type[BaseModel], where: Where) -> str | None:
    """What a setting is, as its model describes it."""
    field = model.model_fields.get(str(where[-1])) if len(where) == 1 else None
    return None if field is None or not field.description else f"{where[-1]}: {field.description}"


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _choices(context: Mapping[str, Any]) -> list[str]:
    return [one.strip("'") for one in str(context.get("expected", "")).replace(" or ", ", ").split(", ")]


def _bound(words: str, key: str) -> Callable[[object, Mapping[str, Any]], str]:
    return lambda value, context: f"{shown(value)} is not {words} {context[key]}"


def _kind(words: str) -> Callable[[object, Mapping[str, Any]], str]:
    return lambda value, _: f"{shown(value)} is not {words}"


_BOUNDS = {"ge": "{} or more", "gt": "more than {}", "le": "{} or less", "lt": "less than {}"}
_NUMBER, _WHOLE, _TABLE, _LIST = "a number", "a whole number", "a table of settings", "a list"
_WORDS: dict[str, Callable[[object, Mapping[str, Any]], str]] = {
    "missing": lambda _, __: "it is missing",
    "greater_than_equal": _bound("at least", "ge"),
    "greater_than": _bound("more than", "gt"),
    "less_than_equal": _bound("at most", "le"),
    "less_than": _bound("less than", "lt"),
    "string_too_long": lambda value, context: f"it has more than {context['max_length']} characters",
    "string_too_short": lambda value, _: "it is empty",
    "too_long": lambda _, context: f"it has more than {context['max_length']} entries",
    "too_short": lambda _, context: f"it has fewer than {context['min_length']} entries",
    "literal_error": lambda value, context: f"{shown(value)} is not {context['expected']}",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), _kind(_WHOLE)),
    **dict.fromkeys(("float_type", "float_parsing"), _kind(_NUMBER)),
    "finite_number": _kind("a finite number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), _kind("true or false")),
    **dict.fromkeys(("string_type", "string_sub_type"), _kind("a text")),
    "path_type": _kind("a path"),
    **dict.fromkeys(("model_type", "dict_type", "mapping_type", "model_attributes_type"), _kind(_TABLE)),
    **dict.fromkeys(("tuple_type", "list_type", "iterable_type", "sequence_str"), _kind(_LIST)),
}


def _names_at(model: type[BaseModel], where: Where) -> list[str]:
    """The names that may be set where a fault is."""
    for part in where:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        inner = None if field is None else _model_in(field.annotation)
        if inner is None:
            return []
        model = inner
    return settable(model)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in typing.get_args(annotation) if (found := _model_in(one)) is not None), None)


def _is_branch(part: str | int) -> bool:
    """Whether pydantic names a member of a union here, not a key."""
    return isinstance(part, str) and (part[:1].isupper() or "[" in part or part in {"str", "int", "float", "bool"})
