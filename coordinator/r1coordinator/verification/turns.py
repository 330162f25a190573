"""What a completion of several turns must fit: the job's tool said each of its answers, and all that it had to say."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from r1coordinator.verification.refusal import refusal
from r1net.protocol.trace import Trace
from r1net.protocol.turns import Span, sampled
from r1net.sandbox import SandboxedScorer
from r1net.sandbox.scorer import Place


def check_stops(trace: Trace, stops: Collection[int], position: int) -> None:
    """Every turn of the model ends with a stop token, and nothing goes on behind one but a tool's answer."""
    begins = {begin for begin, _ in trace.given}
    for place in sampled(len(trace.completion_ids), trace.given)[:-1]:
        if (trace.completion_ids[place] in stops) != (place + 1 in begins):
            words = "an answer in the middle of a turn" if place + 1 in begins else "goes on after a stop token"
            raise refusal("bad_finish", words, position)


def check_replies(traces: Sequence[Trace], scorer: SandboxedScorer) -> None:
    """Raises Refused when a tool's answer is another than it gives, or one is left out."""
    if scorer.spec.turns is None:
        for position, trace in enumerate(traces):
            if trace.given:
                raise refusal("wrong_reply", "the job has no tool that answers", position)
        return
    asked: list[tuple[Place, Sequence[int], tuple[Span, ...]]] = []
    expected: list[tuple[int, list[int] | None]] = []
    for position, trace in enumerate(traces):
        place = (trace.split, trace.round, trace.group)
        for number, (begin, end) in enumerate(trace.given):
            asked.append((place, trace.completion_ids[:begin], trace.given[:number]))
            expected.append((position, list(trace.completion_ids[begin:end])))
        if trace.finish_reason == "stop":
            asked.append((place, trace.completion_ids, trace.given))
            expected.append((position, None))
    for reply, (position, said) in zip(scorer.replies(asked), expected, strict=True):
        if reply != said:
            words = "the tool had an answer, which is left out" if said is None else "the tool gives another answer"
            raise refusal("wrong_reply", words, position)
