"""What the worst of hosts would have graded: text that would run, hang or nest, by every registered reward.

A host's completion is any text. Its mark is that of no answer, or it goes over a limit; it never runs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from r1net.protocol.job import EnvironmentSpec, Evaluation, JobSpec, RewardSpec, Sampling
from r1net.rewards import names
from r1net.sandbox import Limits, SandboxPool
from tests.adversarial.sandbox.test_answers import HOSTILE, grade, payloads, scorer_of
from tests.unit.coordinator.jobs import job_spec

CONFIGS = {
    "language": {"language": "en"},
    "length": {"target": 100},
    "sum": {"of": [{"name": "math"}, {"name": "language", "config": {"language": "de"}}]},
    "product": {"of": [{"name": "math"}, {"name": "tag_count"}]},
}
MATH = (RewardSpec(name="math"),)


def spec_of(*rewards: RewardSpec, generator: str = "chain_sum") -> JobSpec:
    return job_spec(
        environment=EnvironmentSpec(name=f"reasoning_gym:{generator}"),
        rewards=rewards,
        sampling=Sampling(max_tokens=131072),
        evaluation=Evaluation(problems=0),
    )


def test_no_text_of_an_answer_runs_as_mathematics(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    tmp_path.chmod(0o777)
    forms = ("<answer>{}</answer>", "\\boxed{{{}}}", "${}$", "<answer>$\\text{{{}}}$</answer>", "<answer>1+{}</answer>")
    texts = [form.format(payload) for form in forms for payload in payloads(marker)]
    for text, graded in zip(texts, grade(scorer_of(spec_of(*MATH)), texts), strict=True):
        assert graded.parts["math"] == 0.0, (text, graded)
        assert graded.over is None, (text, graded)
    assert not marker.exists()


NESTED = [
    "{" * 100_000,
    "\\frac{" * 10_000,
    "$" + "\\frac{1}{" * 10_000 + "1" + "}" * 10_000 + "$",
    "\\boxed{" + "\\sqrt{" * 3000 + "2" + "}" * 3001,
    "\\boxed{" * 10_000,
    "(" * 60_000 + "1" + ")" * 60_000,
    "$" * 60_000,
    "answer " * 10_000,
    "1," * 50_000,
    "9" * 100_000,
    "$|" * 20_000,
    "\\begin{pmatrix}" * 4000,
]


def test_what_nests_is_no_answer() -> None:
    for form in ("{}", "<answer>{}</answer>"):
        for graded in grade(scorer_of(spec_of(*MATH)), [form.format(text) for text in NESTED]):
            assert graded.parts["math"] == 0.0
            assert graded.over is None


def test_what_never_ends_scores_nothing_and_the_others_what_they_are_worth() -> None:
    pool = SandboxPool(2, Limits(grade_seconds=0.5))
    scorer = scorer_of(spec_of(*MATH, generator="fraction_simplification"), pool)
    try:
        gold = next(mark.text for mark in scorer.marks(0).marks if mark.gold)
        texts = [gold, "<answer>$9^{9^{9^{9}}}$</answer>", gold, "<answer>$10^{10}!$</answer>", "9**9**9**9", gold]
        grades = grade(scorer, texts)
    finally:
        pool.close()
    assert [graded.reward for graded in grades] == [1.0, 0.0, 1.0, 0.0, 0.0, 1.0]
    assert all(graded.over is None for graded in grades[::2] if graded.reward)


@pytest.mark.parametrize("name", names())
def test_every_reward_survives_what_is_no_answer(name: str) -> None:
    """One batch of everything: each gets a number or does not apply, and the same again from another process."""
    spec = spec_of(RewardSpec(name=name, config=CONFIGS.get(name, {})))
    texts = [*HOSTILE, *(f"<think>{text}</think><answer>{text}</answer>" for text in HOSTILE)]
    grades = grade(scorer_of(spec), texts)
    for text, graded in zip(texts, grades, strict=True):
        assert graded.over is None, text[:40]
        assert graded.reward is None or -1.0 <= graded.reward <= 2.0
    pool = SandboxPool(2)
    try:
        assert [graded.parts for graded in grade(scorer_of(spec, pool), texts)] == [graded.parts for graded in grades]
    finally:
        pool.close()


@pytest.mark.parametrize("text", ["[", "\n", "* ", "-", "<<", ".", "a. ", "'", '" ', "*", "```"])
def test_instructions_take_time_in_proportion_to_the_text(text: str) -> None:
    """With the square of two million characters none of them would end. The environment has no rows of instructions:
    the checks are asked in the process in which tests run."""
    from r1net.rewards.ifeval import follows
    from tests.unit.sdk.test_rewards_instructions import SETTINGS

    text *= 2_000_000 // len(text)
    simple = {"keywords": ["a"], "keyword": "a", "forbidden_words": ["b"], "letter": "a", "first_word": "a"}
    simple |= {"relation": "at least", "let_relation": "at least", "postscript_marker": "P.S.", "section_spliter": "S"}
    simple |= {"prompt_to_repeat": "a", "end_phrase": "b"}
    for name, wanted in SETTINGS.items():
        assert follows(name, {key: simple.get(key, 1) for key in wanted}, text) in (True, False), name
    assert (
        follows("length_constraints:number_sentences", {"num_sentences": 1, "relation": "less than"}, text) is not None
    )
