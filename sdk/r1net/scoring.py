"""What node and coordinator must do alike: a job's prompts as token ids, and the rewards of completion ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer

from r1net.environments import Draw, Lines, Mix, Problem
from r1net.errors import UsageError
from r1net.protocol.job import JobSpec, RewardSpec
from r1net.protocol.trace import Split
from r1net.protocol.turns import REPLY, Span, turns_of
from r1net.rewards import TAGS, Completion, RewardSet, extract_answer, opened, total, verifiers
from r1net.tokens import load_tokenizer
from r1net.tools import computed_outside
from r1net.tools import make as make_tool

_REMEMBERED = 4096


@dataclass(frozen=True)
class Scored:
    """What a completion came to by the registered rewards; a job's own are given elsewhere."""

    parts: dict[str, float | None]
    specs: tuple[RewardSpec, ...]

    @property
    def reward(self) -> float | None:
        """The weighted sum of the parts that apply; None where none does."""
        return total(self.specs, self.parts)


class JobScorer:
    """One job's problems, prompts and rewards. A pure function of the spec and the files that it names: `tokenizer`,
    the rows that `lines` brings, and the weights that `mix` brings of a curriculum.

    For jobs of strangers use `r1net.sandbox`, which runs this class where it can do no harm.
    Raises UsageError when the tokenizer file can't be read or the environment can't be loaded.
    """

    def __init__(
        self, spec: JobSpec, tokenizer: Path | bytes, lines: Lines | None = None, mix: Mix | None = None
    ) -> None:
        self.spec = spec
        self._draw = Draw(spec, lines, mix)
        self._rewards = RewardSet(spec.rewards)
        self._tool = None if spec.turns is None or computed_outside(spec.turns) else make_tool(spec.turns)
        self._verifiers = RewardSet(verifiers(spec.rewards))
        data = tokenizer if isinstance(tokenizer, bytes) else tokenizer.read_bytes()
        self._tokenizer = load_tokenizer(data)
        self.vocabulary_size: int = self._tokenizer.get_vocab_size(with_added_tokens=True)
        self._stops = frozenset(spec.stop_token_ids)
        self._opened = opened(spec.prompt)
        self._hidden = _hidden(self._tokenizer)
        self._problem = lru_cache(maxsize=_REMEMBERED)(self._draw.problem_of)

    def check(self, vocabulary: int) -> None:
        """Whether the job can be worked on: its prompts have tokens, its stop ids exist, its rewards can be given.

        Raises UsageError.
        """
        ids = self.prompt_ids("train", 0, 0)
        if not ids:
            raise UsageError("the prompt has no tokens")
        if max(ids) >= vocabulary:
            raise UsageError(
                f"the tokenizer makes token {max(ids)} of the prompt, but the model knows only {vocabulary}",
                hint="take the tokenizer that belongs to the model, or resize the model's embeddings to it",
            )
        if any(not 0 <= token < vocabulary for token in self.spec.stop_token_ids):
            raise UsageError(f"a stop token id is outside the vocabulary of {vocabulary}")
        self.score("train", 0, 0, [self.spec.stop_token_ids[0]])

    def problem(self, split: Split, round_: int, group: int) -> Problem:
        """The problem of one group."""
        return self._problem(self._draw.leaf(split, round_, group), split, round_, group)

    def prompt(self, split: Split, round_: int, group: int) -> str:
        """The rendered prompt of one group."""
        return self.spec.render(self.problem(split, round_, group).question)

    def prompt_ids(self, split: Split, round_: int, group: int) -> list[int]:
        """The canonical prompt as token ids; the rendered template brings its own special tokens."""
        text = self.prompt(split, round_, group)
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def text(self, completion_ids: Sequence[int]) -> str:
        """The text of a completion, without its stop token and without special tokens other than rewards' tags."""
        ids = list(completion_ids)
        if ids and ids[-1] in self._stops:
            ids.pop()
        return str(self._tokenizer.decode([i for i in ids if i not in self._hidden], skip_special_tokens=False))

    def answer(self, text: str) -> str:
        """What of a completion's text counts as its answer."""
        return extract_answer(text, self._opened)

    def score(
        self, split: Split, round_: int, group: int, completion_ids: Sequence[int], given: tuple[Span, ...] = ()
    ) -> Scored:
        """The rewards of one completion, of which the spans `given` are a tool's."""
        truncated = not completion_ids or completion_ids[-1] not in self._stops
        turns = tuple(self.text(turn) for turn in turns_of(list(completion_ids), given))
        begun = "" if given else self._opened
        completion = Completion(turns[-1], begun, len(completion_ids), truncated, turns)
        return self.score_completion(split, round_, group, completion)

    def spoken(self, completion_ids: Sequence[int], given: tuple[Span, ...]) -> list[str] | None:
        """The model's turns of a completion to which the job's tool may answer; None where its last turn was the last
        of all, or has not ended."""
        turns = self.spec.turns
        if turns is None or len(given) + 1 >= turns.most or completion_ids[-1] not in self._stops:
            return None
        return [self.text(turn) for turn in turns_of(list(completion_ids), given)]

    def reply(self, split: Split, round_: int, group: int, spoken: Sequence[str]) -> str | None:
        """What the job's tool answers, where it is one that is computed here."""
        assert self._tool is not None, "a tool that is computed here"
        return self._tool(self.problem(split, round_, group), spoken)

    def reply_ids(self, split: Split, length: int, reply: str) -> list[int] | None:
        """An answer as token ids, with what stands around it, behind `length` tokens; None where no room is left for
        the model to go on."""
        assert self.spec.turns is not None, "only a tool answers"
        text = self.spec.turns.reply.replace(REPLY, reply)
        sampling = self.spec.sampling if split == "train" else self.spec.evaluation.sampling
        ids = list(self._tokenizer.encode(text, add_special_tokens=False).ids)
        return ids if ids and length + len(ids) < sampling.max_tokens else None

    def score_text(self, split: Split, round_: int, group: int, text: str) -> Scored:
        """The rewards of a completion with this text, of which no token is known, with those verifying rewards that
        are only parts of others."""
        completion = Completion(text, self._opened)
        return Scored(
            self._verifiers.parts(
                self._draw.environment(split, round_, group), self.problem(split, round_, group), completion
            )
            | self.score_completion(split, round_, group, completion).parts,
            self.spec.rewards,
        )

    def score_completion(self, split: Split, round_: int, group: int, completion: Completion) -> Scored:
        """The rewards of a completion."""
        environment = self._draw.environment(split, round_, group)
        parts = self._rewards.parts(environment, self.problem(split, round_, group), completion)
        return Scored(parts, self.spec.rewards)


def _hidden(tokenizer: Tokenizer) -> frozenset[int]:
    """Special tokens are no text. Some models declare `<think>` to be one: it stays readable for rewards."""
    added = tokenizer.get_added_tokens_decoder().items()
    return frozenset(number for number, token in added if token.special and token.content not in TAGS)
