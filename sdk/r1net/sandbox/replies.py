"""Whether what a completion was given is what the job's tool says, and all that it has to say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from r1net.protocol.trace import Trace
from r1net.protocol.turns import Span
from r1net.sandbox.answers import Place
from r1net.sandbox.scorer import SandboxedScorer

NO_TOOL = "the job has no tool that answers"
OTHER = "the tool gives another answer"
LEFT_OUT = "the tool had an answer, which is left out"


def wrong_replies(traces: Sequence[Trace], scorer: SandboxedScorer) -> Iterator[tuple[int, str]]:
    """The positions of traces whose answers aren't the tool's, and what is wrong. Raises UsageError, SandboxFailed."""
    if scorer.spec.turns is None:
        yield from ((position, NO_TOOL) for position, trace in enumerate(traces) if trace.given)
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
            yield position, LEFT_OUT if said is None else OTHER
