"""What a completion of several turns must fit: the job's tool said each of its answers, and all that it had to say."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from r1coordinator.verification.refusal import refusal
from r1net.errors import UsageError
from r1net.protocol.trace import Trace
from r1net.protocol.turns import sampled
from r1net.sandbox import SandboxedScorer
from r1net.sandbox.replies import endings, wrong_replies


def check_stops(trace: Trace, stops: Collection[int], position: int) -> None:
    """Every turn of the model ends with a stop token, and nothing goes on behind one but a tool's answer."""
    begins = {begin for begin, _ in trace.given}
    for place in sampled(len(trace.completion_ids), trace.given)[:-1]:
        if (trace.completion_ids[place] in stops) != (place + 1 in begins):
            words = "an answer in the middle of a turn" if place + 1 in begins else "goes on after a stop token"
            raise refusal("bad_finish", words, position)


def check_replies(traces: Sequence[Trace], scorer: SandboxedScorer) -> None:
    """Raises Refused when a tool's answer is another than it gives, or one is left out.

    A tool of the job's own that answers otherwise when it is asked again is at fault itself: UsageError. Where it
    doesn't, the bundle is refused at no cost: its code might tell this machine from the node's.
    """
    position, words = next(wrong_replies(traces, scorer.spec, scorer.replies), (None, ""))
    if position is None:
        return
    turns = scorer.spec.turns
    if turns is None or turns.code is None:
        raise refusal("wrong_reply", words, position)
    ends = endings(traces[position])
    once, twice = (scorer.replies([begun for begun, _ in ends]) for _ in range(2))
    steady = all(one.may_be(two.ids) or two.may_be(one.ids) for one, two in zip(once, twice, strict=True))
    if not steady or all(one.may_be(said) for one, (_, said) in zip(once, ends, strict=True)):
        raise UsageError(f"the tool {turns.tool!r} is not deterministic: asked again, it answers otherwise")
    raise refusal("own_reply_mismatch", words, position)
