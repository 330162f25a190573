"""A job's problems, prompts, rewards and texts, computed in the sandbox: `r1net.scoring.JobScorer` at arm's length."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from r1net.environments import Mix, Shards, mix_of, row_of
from r1net.errors import UsageError
from r1net.protocol.job import JobSpec
from r1net.protocol.turns import Span, messages, turns_of
from r1net.rewards import computed_outside, total
from r1net.sandbox.answers import (
    Answer,
    Grade,
    Graded,
    Marks,
    Place,
    Problems,
    ProblemView,
    Prompt,
    Prompts,
    Texts,
    Vocabulary,
)
from r1net.sandbox.asking import asked, checked, counted
from r1net.sandbox.own import Call, OwnMark
from r1net.sandbox.owned import OwnRewards
from r1net.sandbox.pool import ProcessEnded, SandboxPool
from r1net.sandbox.process import Child, SandboxFailed
from r1net.sandbox.replies import Begun, Replies, Reply

log = logging.getLogger(__name__)

_FIRST: Place = ("train", 0, 0)

A = TypeVar("A", bound=BaseModel)


class SandboxedScorer:
    """One job's scorer. `tokenizer`, `config` and, where it is to be checked, `index` of a model in shards bring the
    bytes of the model's files when a process needs them; `files` brings the job's other files, its rows and those of
    its own rewards, by their digests; `mix` brings the weights of a curriculum's rounds. Rows and weights are handed to
    a process with each request that is about them.

    Methods raise UsageError when the job's own settings or files are at fault, SandboxFailed when the sandbox is.
    """

    def __init__(
        self,
        pool: SandboxPool,
        spec: JobSpec,
        tokenizer: Callable[[], bytes],
        config: Callable[[], bytes],
        index: Callable[[], bytes] | None = None,
        *,
        files: Callable[[str], Path] | None = None,
        mix: Mix | None = None,
    ) -> None:
        self.spec, self.mix = spec, mix
        fetch = files or _absent
        self._shards = Shards(spec, fetch)
        self._pool = pool
        self._files = (tokenizer, config, *([index] if index else []))
        self._key = spec.digest()
        self._vocabulary = 0
        self._own = OwnRewards(pool, spec, lambda digest: fetch(digest).read_bytes())
        self._replies = Replies(pool, spec, lambda digest: fetch(digest).read_bytes())

    @property
    def vocabulary(self) -> int:
        """The number of token ids that the model can emit. Loads the job at the first use."""
        if not self._vocabulary:
            self.load()
        return self._vocabulary

    def mixed(self, mix: Mix) -> SandboxedScorer:
        """The same job, drawn with other weights."""
        other = copy(self)
        other.mix = mix
        return other

    def check_rows(self) -> None:
        """Whether all rows that the job names are in its shards."""
        self._shards.check()

    def load(self) -> None:
        """Load the job, which checks its files and settings, and its own rewards."""
        self._vocabulary = self.ask({"op": "vocabulary"}, (), Vocabulary).vocabulary
        self._own.check()
        self._replies.check()

    def prompts(self, places: Sequence[Place]) -> list[Prompt]:
        """The canonical prompts of groups."""
        if not places:
            return []
        answer = self.ask({"op": "prompts", "places": list(places)}, places, Prompts)
        return counted(answer.prompts, len(places))

    def texts(self, completions: Sequence[Sequence[int]]) -> list[str]:
        """The texts of completions, without stop tokens and special tokens."""
        if not completions:
            return []
        return counted(self._texts(completions).texts, len(completions))

    def problems(self, places: Sequence[Place]) -> list[ProblemView]:
        """The problems of groups, as columns."""
        answer = self.ask({"op": "columns", "places": list(places)}, places, Problems)
        return counted(answer.problems, len(places))

    def replies(self, items: Sequence[Begun]) -> list[Reply]:
        """What the job's tool gives behind each of these completions; nothing where the model's turn was its last."""
        return self._replies.to(items, self)

    def grade(
        self, items: Sequence[tuple[Place, Sequence[int]]], given: Sequence[tuple[Span, ...]] | None = None
    ) -> list[Graded]:
        """The rewards of completions. Those of a group must come in the order of their index. `given`: for each the
        spans that are a tool's.

        One that takes too long is over at once; one that ends its process in any other way, when it does so twice.
        """
        spans = given or [()] * len(items)
        grades = self._registered(items, spans)
        own = self.own_marks(items, spans)
        return [self._joined(graded, marks) for graded, marks in zip(grades, own, strict=True)]

    def own_marks(
        self, items: Sequence[tuple[Place, Sequence[int]]], given: Sequence[tuple[Span, ...]]
    ) -> list[dict[str, OwnMark]]:
        """What the job's own rewards give, each computed in fresh processes, one for each group."""
        if not items or not self._own:
            return [{} for _ in items]
        places = list(dict.fromkeys(place for place, _ in items))
        problems = dict(zip(places, self.problems(places), strict=True))
        said = self._texts([turns_of(list(ids), spans)[-1] for (_, ids), spans in zip(items, given, strict=True)])
        texts, answers = counted(said.texts, len(items)), counted(said.answers, len(items))
        shown = texts if self.spec.turns is None else self._messages(items, given)
        return self._own.marks(
            [
                (place, Call(problems[place].prompt, completion, problems[place].columns, answer))
                for (place, _), completion, answer in zip(items, shown, answers, strict=True)
            ]
        )

    def _messages(
        self, items: Sequence[tuple[Place, Sequence[int]]], given: Sequence[tuple[Span, ...]]
    ) -> list[list[dict[str, str]]]:
        """Completions as messages, which is how TRL shows conversations to rewards."""
        begun = [
            (place, ids[:begin], spans[:number])
            for (place, ids), spans in zip(items, given, strict=True)
            for number, (begin, _) in enumerate(spans)
        ]
        replies = iter(self.replies(begun))
        turns = [turns_of(list(ids), spans) for (_, ids), spans in zip(items, given, strict=True)]
        texts = iter(counted(self._texts([turn for own in turns for turn in own]).texts, sum(map(len, turns))))
        return [messages([next(texts) for _ in own], [next(replies).text or "" for _ in own[1:]]) for own in turns]

    def _texts(self, completions: Sequence[Sequence[int]]) -> Texts:
        return self.ask({"op": "texts", "ids": [list(ids) for ids in completions]}, (), Texts)

    def again(
        self, items: Sequence[tuple[Place, Sequence[int]]], found: Sequence[Graded], given: Sequence[tuple[Span, ...]]
    ) -> list[tuple[dict[str, OwnMark], ...]]:
        """What rewards that run a stranger's code come to when they are computed twice more, for each completion.

        Raises UsageError when one of the job's own differs from itself: then the job can't be judged by it, and nobody
        by the job. What a model's program does differently each time is nobody's fault.
        """
        functions = {reward.name for reward in self.spec.rewards if reward.code is not None}
        once, twice = self.own_marks(items, given), self.own_marks(items, given)
        for graded, *marks in zip(found, once, twice, strict=True):
            for name in functions & graded.own.keys():
                for mark in marks:
                    if not graded.own[name].agrees(mark[name]):
                        raise UsageError(
                            f"the reward {name!r} is not deterministic: for one completion it comes to "
                            f"{graded.own[name].words}, and then to {mark[name].words}"
                        )
        return list(zip(once, twice, strict=True))

    def _joined(self, graded: Graded, own: dict[str, OwnMark]) -> Graded:
        if graded.over is not None or not own:
            return graded
        parts = graded.parts | {name: mark.value for name, mark in own.items()}
        parts = {reward.name: parts[reward.name] for reward in self.spec.rewards}
        return replace(graded, parts=parts, reward=total(self.spec.rewards, parts), own=own)

    def _registered(
        self, items: Sequence[tuple[Place, Sequence[int]]], given: Sequence[tuple[Span, ...]]
    ) -> list[Graded]:
        """The rewards that the graders know, in one round trip unless a completion goes over a limit."""
        grades: list[Graded] = []
        crashed = -1
        while len(grades) < len(items):
            try:
                self._grade_into(grades, items[len(grades) :], given[len(grades) :])
            except ProcessEnded as error:
                place = len(grades)
                log.warning("job %s: completion %d ended its grader: %d", self.spec.name, place, error.signal)
                if error.signal == signal.SIGPROF:
                    grades.append(self._over("time"))
                elif crashed == place:
                    grades.append(self._over("crash"))
                crashed = place
        return grades

    def marks(self, group: int) -> Marks:
        """What the verifying rewards give for answers of known worth to one problem of the first round."""
        drawn = self._drawn([("train", 0, group)])
        try:
            with self._pool.process(self._key, self._open) as child:
                return checked(Marks, child.ask({"op": "marks", "group": group, **drawn}))
        except ProcessEnded as error:
            raise UsageError(
                f"the verifier of problem {group} ends its process: it takes more than "
                f"{self._pool.limits.grade_seconds:g} s of CPU time for an answer, or too much memory",
                hint="take smaller settings, or another environment",
            ) from error

    def _grade_into(
        self,
        grades: list[Graded],
        items: Sequence[tuple[Place, Sequence[int]]],
        given: Sequence[tuple[Span, ...]],
    ) -> None:
        with self._pool.process(self._key, self._open) as child:
            drawn = self._drawn([place for place, _ in items])
            completions = [[*place, list(ids), list(spans)] for (place, ids), spans in zip(items, given, strict=True)]
            child.tell({"op": "grade", "items": completions, **drawn})
            for _ in items:
                grades.append(self._graded(child.hear(self._pool.limits.grade_seconds)))

    def _graded(self, header: dict[str, Any]) -> Graded:
        answer = checked(Grade, header)
        if answer.over is not None:
            return self._over(answer.over)
        specs = [reward for reward in self.spec.rewards if not computed_outside(reward)]
        if answer.parts.keys() != {reward.name for reward in specs}:
            raise SandboxFailed("the grader answered for other rewards")
        reward = total(specs, answer.parts)
        return Graded(reward, answer.parts, doubtful=self._pool.limits.doubtful(answer.seconds))

    def _over(self, limit: Literal["time", "memory", "crash"]) -> Graded:
        return Graded(0.0, {reward.name: 0.0 for reward in self.spec.rewards}, over=limit)

    def ask(self, header: dict[str, Any], places: Sequence[Place], kind: type[A]) -> A:
        """One question about the problems of `places` to a process that has the job."""
        drawn = self._drawn(places) if places else {}
        return asked(self._pool, self._key, self._open, header | drawn, kind)

    def _open(self, child: Child) -> None:
        header = {"op": "open", "spec": self.spec.model_dump_json(), **self._drawn([_FIRST])}
        checked(Answer, child.ask(header, *(bring() for bring in self._files)))

    def _drawn(self, places: Sequence[Place]) -> dict[str, Any]:
        """What groups are drawn with: the lines of their rows, and of a curriculum the weights of their rounds. Raises
        UsageError when the data set isn't what the job says, and whatever `mix` does."""
        rounds = dict.fromkeys((split, round_) for split, round_, _ in places)
        drawn_by = ((round_, mix_of(self.spec.environment, split, round_, self.mix)) for split, round_ in rounds)
        mix = {round_: weights for round_, weights in drawn_by if weights is not None}
        rows = dict.fromkeys(row for place in places if (row := row_of(self.spec, *place, mix.__getitem__)) is not None)
        try:
            lines = [[*row, self._shards.line(row)] for row in rows]
            return {"rows": lines} | ({"mix": list(mix.items())} if mix else {})
        except OSError as error:
            raise SandboxFailed(f"a shard of the data set can't be read: {error.strerror}") from error


def _absent(digest: str) -> Path:
    raise UsageError(f"this scorer was not given the job's files, such as {digest}")
