"""What stands between two turns of a model, when a tool has answered: as the chat template has a user answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from r1net.errors import UsageError
from r1net.protocol.turns import REPLY
from r1net.templates import chat_template, render_messages
from r1net.tokens import load_tokenizer

_SAID = "\u27e6what the model said\u27e7"
_INSTEAD = "pass tool=Turns(tool=…, reply=…), with {reply} where the answer goes"


def reply_text(folder: Path, stops: Sequence[int]) -> str:
    """The text from behind the stop token of one turn to the beginning of the next, around {reply}. Raises UsageError
    when the template makes no such text. A model without a chat template has the answer on a line of its own."""
    template = chat_template(folder)
    if template is None:
        return f"\n{REPLY}\n"
    turns = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": _SAID},
        {"role": "user", "content": REPLY},
    ]
    _, said, between = render_messages(folder, turns).partition(_SAID)
    tokenizer = load_tokenizer((folder / "tokenizer.json").read_bytes())
    ends = [str(tokenizer.id_to_token(stop)) for stop in stops]
    end = next((end for end in ends if between.startswith(end)), None)
    if not said or between.count(REPLY) != 1 or end is None:
        raise UsageError("the chat template doesn't show how an answer goes on", hint=_INSTEAD)
    return between.removeprefix(end)
