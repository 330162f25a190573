"""Whether a replay asks the question that the work answered: who draws another part of a mix must not convict for it.

What a round is drawn with, a host has from the coordinator, and so has whoever replays. A coordinator that says other
weights to each of them would have honest work replayed on another problem. Whatever the weights are, a group's problem
is that of one of the parts; so a trace with another part's prompt is not judged, and one whose prompt is no part's is
judged as any other. The first round's weights follow from the specification.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from r1net.environments.places import leaf_of
from r1net.errors import ProtocolError
from r1net.protocol.trace import Trace
from r1net.sandbox import SandboxedScorer
from r1net.sandbox.answers import Place, Prompt


def require_own_part(
    grouped: Sequence[Sequence[Trace]], prompts: Sequence[Prompt], foul: Collection[int], scorer: SandboxedScorer
) -> None:
    """Raises ProtocolError when a trace with another prompt than its group's, or one of those in `foul` (by `id`), may
    be of another part than the weights draw."""
    if scorer.spec.environment.curriculum is None:
        return
    doubted = [
        trace
        for members, prompt in zip(grouped, prompts, strict=True)
        for trace in members
        if trace.split == "train" and trace.round > 0 and (list(trace.prompt_ids) != prompt.ids or id(trace) in foul)
    ]
    places: list[Place] = [(trace.split, trace.round, trace.group) for trace in doubted]
    drawn = [leaf_of(scorer.spec, *place, scorer.mix) for place in places]
    for part in range(len(scorer.spec.environment.parts)):
        others = _alone(part, scorer).prompts(places)
        for trace, own, other in zip(doubted, drawn, others, strict=True):
            if part != own and list(trace.prompt_ids) == other.ids:
                name = scorer.spec.environment.leaves[part].name
                raise ProtocolError(
                    f"the coordinator's mix of round {trace.round} doesn't fit what it admitted: group {trace.group} "
                    f"is of {name}, which its weights don't draw; so this can't be judged"
                )


def _alone(part: int, scorer: SandboxedScorer) -> SandboxedScorer:
    """The job as if one part had all the weight."""
    weights = tuple(int(number == part) for number in range(len(scorer.spec.environment.parts)))
    return scorer.mixed(lambda _: weights)
