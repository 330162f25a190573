"""What a prompt opens belongs to the completion that rewards read, and tags stay readable whatever a tokenizer says."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer

from r1net.environments import load_environment
from r1net.protocol.job import RewardSpec
from r1net.protocol.problems import EnvironmentSpec
from r1net.rewards import Completion, RewardSet, extract_answer, opened
from r1net.scoring import JobScorer
from tests.unit.coordinator.jobs import STOP, job_spec, tokenizer_json

ENVIRONMENT = load_environment(EnvironmentSpec(name="reasoning_gym:chain_sum"))
PROBLEM = ENVIRONMENT.problem(1)
FORMAT, CORRECT = RewardSpec(name="format"), RewardSpec(name="correct")


@pytest.mark.parametrize(
    ("tail", "beginning"),
    [
        ("<|im_end|>\n<|im_start|>assistant\n<think>\n", "<think>\n"),
        ("<|Assistant|><think>\n", "<think>\n"),
        (". Assistant: <think>", "<think>"),
        ("<|im_start|>assistant\n<think>\nLet me add", "<think>\nLet me add"),
        ("[/INST]<think>So", "<think>So"),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", "<think>\n\n</think>\n\n"),
        ("<|bot|><think>\n2 and 2\n</think>\n<answer>", "<think>\n2 and 2\n</think>\n<answer>"),
        ("\nA: <answer>", "<answer>"),
        ("\n<answer>The sum is", "<answer>The sum is"),
        ("\nA:", ""),
        ("<|im_end|>\n<|im_start|>assistant\n", ""),
        (" Think within <think> and </think>.<|im_end|>\n<|im_start|>assistant\n", ""),
        (" Begin your answer with <think> at once.\nAssistant:", ""),
        ("\nReply as\n<think>\n...\n</think>\n<answer>\n...\n</answer>\nAssistant:", ""),
        ("\nReply as\n<think>\n...\n</think>\n<answer>\n...\n</answer><|end|>\n<|bot|>", ""),
    ],
)
def test_what_a_prompt_opens(tail: str, beginning: str) -> None:
    assert opened("Think in <think> tags. {question}" + tail) == beginning
    assert opened("<think>{question}" + tail) == beginning


def parts(tail: str, text: str) -> dict[str, float | None]:
    return RewardSet([FORMAT, CORRECT]).parts(ENVIRONMENT, PROBLEM, Completion(text, opened("{question}" + tail)))


@pytest.mark.parametrize("tail", ["<|bot|><think>\n", "<|bot|>\n<think>\nFirst,"])
def test_the_format_is_reachable_behind_an_opened_thought(tail: str) -> None:
    gold = PROBLEM.answer
    assert parts(tail, f"easy</think>\n<answer>{gold}</answer>") == {"format": 1.0, "correct": 1.0}
    assert parts(tail, f"<think>easy</think>\n<answer>{gold}</answer>") == {"format": 0.0, "correct": 1.0}
    assert parts(tail, f"easy\n<answer>{gold}</answer>")["format"] == 0.0
    assert parts(tail, f"{gold}") == {"format": 0.0, "correct": 1.0}


def test_the_format_is_reachable_where_the_template_closes_the_thought() -> None:
    tail = "<|bot|>\n<think>\n\n</think>\n\n"
    assert parts(tail, f"<answer>{PROBLEM.answer}</answer>") == {"format": 1.0, "correct": 1.0}
    assert parts(tail + "<answer>", f"{PROBLEM.answer}</answer>") == {"format": 1.0, "correct": 1.0}
    assert parts(tail, f"<think>more</think><answer>{PROBLEM.answer}</answer>")["format"] == 0.0


def test_the_format_is_whole_where_nothing_is_opened() -> None:
    whole = f"<think>easy</think> <answer>{PROBLEM.answer}</answer>"
    assert parts("\nA:", whole)["format"] == 1.0
    assert parts("\nA:", whole.removeprefix("<think>"))["format"] == 0.0


@settings(deadline=None)
@given(
    tail=st.lists(st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", "<|bot|>", "\n", " ", "so"])).map(
        "".join
    )
)
def test_what_is_opened_is_an_end_of_the_prompt_without_a_marker(tail: str) -> None:
    beginning = opened("{question}" + tail)
    assert tail.endswith(beginning)
    assert re.fullmatch(r"(<think>[^<]*(</think>\s*(<answer>[^<]*)?)?|<answer>[^<]*)?", beginning)
    if re.search(r"<think>\s*$", tail):
        assert beginning.startswith("<think>")


@settings(deadline=None)
@given(text=st.text(max_size=40))
def test_a_completion_without_tags_is_the_answer_itself(text: str) -> None:
    assert extract_answer(text, "<think>\n") == extract_answer(text)


def with_special_tags() -> bytes:
    tokenizer = Tokenizer.from_buffer(tokenizer_json())
    tokenizer.add_special_tokens([AddedToken(tag, special=True) for tag in ("<think>", "</think>", "<pad>")])
    return tokenizer.to_str().encode()


def test_tags_that_are_special_tokens_are_read() -> None:
    """A tokenizer may hide them from its plain text: no completion could have the format."""
    spec = job_spec(rewards=(FORMAT, CORRECT))
    scorer = JobScorer(spec, with_special_tags())
    gold = scorer.problem("train", 0, 0).answer
    text = f"<think>é</think><answer>{gold}</answer>"
    ids = Tokenizer.from_buffer(with_special_tags()).encode(f"<pad>{text}<pad>").ids
    assert scorer.text([*ids, STOP]) == text
    assert scorer.score("train", 0, 0, [*ids, STOP]).parts == {"format": 1.0, "correct": 1.0}


@settings(deadline=None)
@given(ids=st.lists(st.integers(0, 300), max_size=30))
def test_texts_of_other_tokenizers_are_what_they_were(ids: list[int]) -> None:
    scorer = JobScorer(job_spec(stop_token_ids=(300,)), tokenizer_json())
    until = ids[:-1] if ids and ids[-1] == 300 else ids
    assert scorer.text(ids) == Tokenizer.from_buffer(tokenizer_json()).decode(until, skip_special_tokens=True)
