"""What node and coordinator must do alike: a job's prompts as token ids, and the rewards of completion ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer

from r1net.environments import Draw, Problem
from r1net.errors import UsageError
from r1net.protocol.job import JobSpec, RewardSpec
from r1net.protocol.trace import Split
from r1net.rewards import TAGS, Completion, RewardSet, extract_answer, opened, total
from r1net.tokens import load_tokenizer

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
    """One job's problems, prompts and rewards. A pure function of the spec and its tokenizer file.

    For jobs of strangers use `r1net.sandbox`, which runs this class where it can do no harm.
    Raises UsageError when the tokenizer file can't be read or the environment can't be loaded.
    """

    def __init__(self, spec: JobSpec, tokenizer: Path | bytes) -> None:
        self.spec = spec
        self._draw = Draw(spec)
        self._rewards = RewardSet(spec.rewards)
        data = tokenizer if isinstance(tokenizer, bytes) else tokenizer.read_bytes()
        self._tokenizer = load_tokenizer(data)
        self.vocabulary_size: int = self._tokenizer.get_vocab_size(with_added_tokens=True)
        self._stops = frozenset(spec.stop_token_ids)
        self._opened = opened(spec.prompt)
        self._hidden = _hidden(self._tokenizer)
        self._problem = lru_cache(maxsize=_REMEMBERED)(self._draw.problem)

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
        return self._problem(split, round_, group)

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

    def score(self, split: Split, round_: int, group: int, completion_ids: Sequence[int]) -> Scored:
        """The rewards of one completion."""
        truncated = not completion_ids or completion_ids[-1] not in self._stops
        completion = Completion(self.text(completion_ids), self._opened, len(completion_ids), truncated)
        return self.score_completion(split, round_, group, completion)

    def score_text(self, split: Split, round_: int, group: int, text: str) -> Scored:
        """The rewards of a completion with this text, of which no token is known."""
        return self.score_completion(split, round_, group, Completion(text, self._opened))

    def score_completion(self, split: Split, round_: int, group: int, completion: Completion) -> Scored:
        """The rewards of a completion."""
        parts = self._rewards.parts(self._draw.environment, self.problem(split, round_, group), completion)
        return Scored(parts, self.spec.rewards)


def _hidden(tokenizer: Tokenizer) -> frozenset[int]:
    """Special tokens are no text. Some models declare `<think>` to be one: it stays readable for rewards."""
    added = tokenizer.get_added_tokens_decoder().items()
    return frozenset(number for number, token in added if token.special and token.content not in TAGS)
