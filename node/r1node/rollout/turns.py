"""Completions of more than one turn: whatever engine samples, a job's tool answers where the model ends its turn, and
the engine goes on behind the answer, with the noise of the next place."""

from __future__ import annotations

from collections.abc import Sequence

from r1net.protocol.job import Sampling
from r1net.sandbox import SandboxedScorer
from r1net.sandbox.answers import Place
from r1node.rollout.engine import Completion, Progress, Prompt, RolloutEngine

_Spot = tuple[int, int]
"""A group's number, and the completion's in it."""


def in_turns(
    engine: RolloutEngine,
    scorer: SandboxedScorer,
    places: Sequence[Place],
    prompts: Sequence[Prompt],
    sampling: Sampling,
    progress: Progress | None = None,
) -> list[list[Completion]]:
    """One list of completions for each prompt, in the order of its seeds: `RolloutEngine.generate`, and on behind what
    the job's tool answers. `places`: where in the job each prompt belongs."""
    stops = scorer.spec.stop_token_ids
    made = engine.generate(prompts, sampling, stops, progress)
    if scorer.spec.turns is None:
        return made
    open_: list[_Spot] = [(group, row) for group, members in enumerate(made) for row in range(len(members))]
    while open_:
        asked = [(places[group], made[group][row].token_ids, made[group][row].given) for group, row in open_]
        replies = dict(zip(open_, scorer.replies(asked), strict=True))
        open_ = [spot for spot in open_ if replies[spot].ids is not None]
        begun = [_behind(made[group][row], replies[group, row].ids or []) for group, row in open_]
        further = [
            Prompt([*prompts[group].ids, *one.token_ids], [prompts[group].seeds[row]], begun=len(one.token_ids))
            for (group, row), one in zip(open_, begun, strict=True)
        ]
        said = engine.generate(further, sampling, stops, progress) if further else []
        for (group, row), one, (more,) in zip(open_, begun, said, strict=True):
            made[group][row] = _joined(one, more)
    return made


def _behind(completion: Completion, reply: Sequence[int]) -> Completion:
    """A completion with a tool's answer behind it."""
    length = len(completion.token_ids)
    return Completion(
        [*completion.token_ids, *reply],
        [*completion.logprobs, *([0.0] * len(reply))],
        completion.finish_reason,
        (*completion.given, (length, length + len(reply))),
    )


def _joined(begun: Completion, more: Completion) -> Completion:
    tokens, logprobs = [*begun.token_ids, *more.token_ids], [*begun.logprobs, *more.logprobs]
    return Completion(tokens, logprobs, more.finish_reason, begun.given)
