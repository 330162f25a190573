"""What of a completion is its answer, and what its prompt has begun of it."""

from __future__ import annotations

import re

from r1net.protocol.job import QUESTION

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
"""What rewards look for."""

_OPEN, _CLOSE = "<answer>", "</answer>"
_OPENED = re.compile(
    r"(?:<think>\s*|(?:^|(?<=[>\]\n]))<think>[^<]*)(?:</think>\s*(?:<answer>[^<]*)?)?\Z"
    r"|<answer>\s*\Z|(?:^|(?<=[>\]\n]))<answer>[^<]*\Z"
)


def opened(prompt: str) -> str:
    """The beginning of the answer that a job's prompt makes itself: "<think>" of a template or a prefill, say.

    That is the end of what follows the question, from a `<think>` or `<answer>` on, when no further tag or marker
    comes behind it: an empty or given thought, closed or open, and the beginning of an answer. Where words follow the
    tag, it must begin a line or come right behind a marker: else a sentence about tags would count.
    """
    found = _OPENED.search(prompt.rpartition(QUESTION)[2])
    return found[0] if found else ""


def extract_answer(text: str, opened: str = "") -> str:
    """The text that counts as the answer of a completion. Takes time in proportion to its length."""
    answer, end, text = text, 0, opened + text
    while (begin := text.find(_OPEN, end)) >= 0 and (close := text.find(_CLOSE, begin)) >= 0:
        answer, end = text[begin + len(_OPEN) : close], close + len(_CLOSE)
    return answer.strip()
