"""A model's chat template, rendered once, at submission, into the job's prompt: what it says then (the date, too) is
part of the job.

The text is the one of transformers' `tokenizer.apply_chat_template(…, add_generation_prompt=True, tokenize=False)`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from r1net import rendering
from r1net.errors import UsageError
from r1net.protocol.job import QUESTION
from r1net.tokens import read_json, special_tokens

MOST_TEMPLATE_BYTES = 1 << 20
_WALL_SECONDS = 60.0
"""For a machine so busy that five seconds of CPU take longer."""
_ADDITIONAL = "additional_chat_templates"
_PROBE = "Is \"2 < 3 & 3 > 2\" true?\nSay 'yes', or {no}: 2 + 3 = 5"
"""A question with everything that a template may escape."""
_INSTEAD = "pass prompt= with the rendered text, {question} where the question goes"
_TEXTS = "render them yourself, and give the questions as texts with prompt='{question}'"
_END = "\u27e6end of the question\u27e7"
"""Stands behind a question while it is looked for."""
_HINTS = {
    "Refusal": f"leave out what it refuses (system_prompt=), or {_INSTEAD}",
    "UndefinedError": f"it wants something that a plain question doesn't have; {_INSTEAD}",
}


def render_prompt(folder: Path, system: str | None = None, prefill: str = "") -> str:
    """The chat template around the question's place, ready for the assistant's turn, which `prefill` begins.

    A model without a chat template gets the bare question and a line break. Raises UsageError when the template can't
    be rendered, or makes of a question anything but that question, once.
    """
    template = chat_template(folder)
    if template is None:
        return check_prompt(f"{system + chr(10) if system else ''}{QUESTION}\n{prefill}")
    tokens = special_tokens(folder)
    text, probe = _render(template, [_conversation(question, system, tokens) for question in (QUESTION, _PROBE)])
    prompt = check_prompt(text + prefill)
    if text.replace(QUESTION, _PROBE) != probe:
        raise UsageError("the chat template changes the question that it is given", hint=_INSTEAD)
    return prompt


def render_messages(folder: Path, messages: list[dict[str, Any]]) -> str:
    """A conversation in the model's chat template, ready for the assistant's turn. Raises UsageError."""
    template = chat_template(folder)
    if template is None:
        raise UsageError("the model has no chat template for messages", hint=_TEXTS)
    (text,) = _render(template, [_given(messages, special_tokens(folder))])
    return text


def check_prompt(prompt: str) -> str:
    """The prompt itself. Raises UsageError unless it has one place for the question."""
    if (places := prompt.count(QUESTION)) != 1:
        raise UsageError(f"the prompt holds {QUESTION} {places} times, not once", hint=_INSTEAD)
    return prompt


def chat_template(folder: Path) -> str | None:
    """The template that transformers would take: of chat_template.jinja and the folder additional_chat_templates, else
    of tokenizer_config.json; then that of a processor's chat_template.json. Of several the one named "default".

    None where there is none. Raises UsageError when there are several without a default.
    """
    templates: Any = _template_files(folder)
    if not templates:
        templates = read_json(folder, "tokenizer_config.json").get("chat_template")
    if templates is None:
        templates = read_json(folder, "chat_template.json").get("chat_template")
    if isinstance(templates, list):
        templates = _named(templates)
    if isinstance(templates, dict):
        if "default" not in templates:
            names = ", ".join(sorted(map(str, templates)))[:200]
            raise UsageError(f"the model has several chat templates ({names}), none named default", hint=_INSTEAD)
        templates = templates["default"]
    if templates is not None and not isinstance(templates, str):
        raise UsageError("the model's chat_template is no text", hint=_INSTEAD)
    return templates


def _template_files(folder: Path) -> dict[str, str]:
    files = {"default": folder / "chat_template.jinja"}
    files |= {file.name.removesuffix(".jinja"): file for file in sorted((folder / _ADDITIONAL).glob("*.jinja"))}
    return {name: _read(file) for name, file in files.items() if file.is_file()}


def _read(file: Path) -> str:
    data = file.read_bytes()
    if len(data) > MOST_TEMPLATE_BYTES:
        raise UsageError(f"{file.name} has {len(data)} bytes; at most {MOST_TEMPLATE_BYTES} are read", hint=_INSTEAD)
    try:
        return data.decode().replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file.name} is not text in UTF-8: {error}", hint="save it as UTF-8") from error


def _named(templates: list[Any]) -> dict[str, Any]:
    try:
        return {str(entry["name"]): entry["template"] for entry in templates}
    except (TypeError, KeyError) as error:
        raise UsageError("the chat templates are no list of names and templates", hint=_INSTEAD) from error


def _conversation(question: str, system: str | None, tokens: dict[str, str]) -> dict[str, Any]:
    messages = [{"role": "system", "content": system}] if system else []
    return _given([*messages, {"role": "user", "content": question}], tokens)


def _given(messages: list[dict[str, Any]], tokens: dict[str, str]) -> dict[str, Any]:
    return tokens | {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": True}


class Conversations:
    """Rows whose questions are messages: each is rendered up to where its last message ends, and what the template puts
    behind that, which must be the same for all, becomes the job's prompt."""

    def __init__(self, folder: Path, system: str | None = None, prefill: str = "") -> None:
        self._folder, self._system, self._prefill = folder, system, prefill
        self._tail: str | None = None

    @property
    def prompt(self) -> str | None:
        """The job's prompt, when there were conversations."""
        return None if self._tail is None else check_prompt(QUESTION + self._tail + self._prefill)

    def render(self, conversations: list[list[dict[str, Any]]]) -> list[str]:
        """The texts of conversations that end with the user's turn. Raises UsageError."""
        template = chat_template(self._folder)
        if template is None:
            raise UsageError("the model has no chat template for messages", hint="give the questions as texts")
        tokens = special_tokens(self._folder)
        whole = [self._begun(conversation) for conversation in conversations]
        marked = [[*turns[:-1], turns[-1] | {"content": turns[-1]["content"] + _END}] for turns in whole]
        texts = _render(template, [_given(turns, tokens) for turns in (*whole, *marked)])
        found = []
        for plain, text in zip(texts[: len(whole)], texts[len(whole) :], strict=True):
            question, end, tail = text.partition(_END)
            if not end or _END in tail or question + tail != plain or tail != (self._tail or tail):
                raise UsageError("the chat template doesn't end every conversation alike", hint=_TEXTS)
            self._tail = tail
            found.append(question)
        return found

    def _begun(self, conversation: list[dict[str, Any]]) -> list[dict[str, Any]]:
        last = conversation[-1] | {"content": conversation[-1]["content"].rstrip()}
        turns = [*conversation[:-1], last]
        if self._system and turns[0]["role"] != "system":
            return [{"role": "system", "content": self._system}, *turns]
        return turns


def _render(template: str, conversations: list[dict[str, Any]]) -> list[str]:
    """Texts of a template, made in a process with bounds: see `r1net.rendering`."""
    request = {"template": template, "now": datetime.now().isoformat(), "conversations": conversations}
    paths = os.pathsep.join(path for path in sys.path if path)
    try:
        done = subprocess.run(  # noqa: S603 - this package's own file
            [sys.executable, "-s", "-P", rendering.__file__],
            input=json.dumps(request).encode(),
            capture_output=True,
            env={"PYTHONPATH": paths, "PYTHONHASHSEED": "0"},
            timeout=_WALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"the chat template takes more than {_WALL_SECONDS:g} s", hint=_INSTEAD) from error
    if done.returncode < 0:
        fault = f"ends its process (signal {-done.returncode}): it takes more than {rendering.CPU_SECONDS} s of CPU"
        raise UsageError(f"the chat template {fault} or too much memory", hint=_INSTEAD)
    if done.returncode:
        raise UsageError(f"the chat template can't be rendered: {_last_line(done.stderr)}", hint=_INSTEAD)
    answer = json.loads(done.stdout)
    if "fault" in answer:
        refuses = "refuses" if answer["kind"] == "Refusal" else "can't be rendered"
        raise UsageError(f"the chat template {refuses}: {answer['fault']}", hint=_HINTS.get(answer["kind"], _INSTEAD))
    return list(answer["texts"])


def _last_line(error: bytes) -> str:
    return (error.decode(errors="replace").strip().splitlines() or ["no words"])[-1][:300]
