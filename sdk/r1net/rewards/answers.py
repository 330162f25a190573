"""What of a completion is its answer, and what its prompt has begun of it."""

from __future__ import annotations

import re

from r1net.protocol.job import QUESTION

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
"""What rewards look for."""

_THINK, _THOUGHT, _OPEN, _CLOSE = TAGS
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
    answer = tagged_answer(opened + text)
    return text.strip() if answer is None else answer


def tagged_answer(text: str) -> str | None:
    """What stands in the last <answer>…</answer>, stripped; None where there is none."""
    answer, end = None, 0
    while (begin := text.find(_OPEN, end)) >= 0 and (close := text.find(_CLOSE, begin)) >= 0:
        answer, end = text[begin + len(_OPEN) : close], close + len(_CLOSE)
    return None if answer is None else answer.strip()


def thought(text: str) -> str | None:
    """What stands between the first <think> and the last </think> behind it, or the end; None where nothing begins
    one."""
    _, begun, rest = text.partition(_THINK)
    if not begun:
        return None
    inside, closed, _ = rest.rpartition(_THOUGHT)
    return inside if closed else rest


def reply(text: str) -> str:
    """What a reader is given: the tagged answer, or what follows the last </think>; nothing while a thought is open."""
    _, closed, behind = text.rpartition(_THOUGHT)
    if not closed and _THINK in behind:
        return ""
    answer = tagged_answer(behind)
    return behind.strip() if answer is None else answer
