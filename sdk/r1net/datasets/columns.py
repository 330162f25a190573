"""From a row as its file has it to a row as a job has it: which column is the question, which the answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from r1net.environments.rows import MOST_COLUMNS, Row
from r1net.errors import UsageError
from r1net.protocol.problems import MOST_ROW_BYTES

PROMPTS = ("prompt", "question", "problem", "messages")
ANSWERS = ("answer", "solution", "target", "final_answer")
"""Where question and answer are looked for when nobody says: the first that a row has."""

_ROLES = ("system", "user", "assistant", "tool", "developer")

Messages = list[dict[str, Any]]


def chosen(row: Mapping[str, Any], named: str | None, usual: tuple[str, ...]) -> str | None:
    """The column that is meant: the one named, or the first of the usual ones that the row has."""
    return named or next((name for name in usual if row.get(name) is not None), None)


def question_of(row: Mapping[str, Any], column: str | None, where: str) -> str | Messages:
    """A row's question: a text, or messages that end with a user's. Raises UsageError."""
    name = chosen(row, column, PROMPTS)
    if name is None or row.get(name) is None:
        known = ", ".join(map(str, list(row)[:20]))
        raise UsageError(f"{where}: no column {column or ' or '.join(PROMPTS)}, but {known}", hint="name it: prompt=…")
    value = row[name]
    if isinstance(value, str):
        if not value.strip():
            raise UsageError(f"{where}: the question in {name!r} is empty")
        return value
    if not isinstance(value, list) or not value or not all(map(_is_message, value)):
        raise UsageError(f"{where}: {name!r} is neither a text nor a list of messages with role and content")
    if value[-1]["role"] != "user":
        hint = "take what the model is to say out of the prompt"
        raise UsageError(f"{where}: the last message is of the {value[-1]['role']}, not of the user", hint=hint)
    return [{"role": str(message["role"]), "content": str(message["content"])} for message in value]


def make_row(row: Mapping[str, Any], question: str, prompt: str | None, answer: str | None, where: str) -> Row:
    """The row of a job. `prompt` and `answer` name columns, or leave the choice. Raises UsageError."""
    asked, answered = chosen(row, prompt, PROMPTS), chosen(row, answer, ANSWERS)
    if answer is not None and answer not in row:
        raise UsageError(f"{where}: no column {answer!r}", hint=f"there are {', '.join(map(str, list(row)[:20]))}")
    if len(row) > MOST_COLUMNS:
        raise UsageError(f"{where}: {len(row)} columns; at most {MOST_COLUMNS} are taken")
    columns: dict[str, Any] = {}
    for name, value in row.items():
        if not isinstance(name, str) or not name.isidentifier():
            hint = "columns become arguments of reward functions: rename it"
            raise UsageError(f"{where}: {str(name)[:60]!r} is no name for a column", hint=hint)
        if name != asked or not isinstance(value, str):
            columns[name] = _json(value, f"{where}: {name}")
    given = row.get(answered) if answered else None
    made = Row(question=question, answer=None if given is None else _text(given, where), columns=columns)
    size = len(made.model_dump_json().encode())
    if size >= MOST_ROW_BYTES:
        raise UsageError(f"{where}: a row of {size} bytes; at most {MOST_ROW_BYTES} are taken")
    return made


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and value.get("role") in _ROLES and isinstance(value.get("content"), str)


def _text(value: Any, where: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return str(value)
    raise UsageError(f"{where}: the answer is neither a text nor a number but {type(value).__name__}")


def _json(value: Any, where: str) -> Any:
    """JSON data of a value; NaN, which stands for "nothing" in tables, becomes null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_json(item, where) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _json(item, where) for key, item in value.items()}
    raise UsageError(f"{where}: {type(value).__name__} can't travel as JSON", hint="make it a text or a number")
