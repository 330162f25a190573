"""Verifiers that pay for nothing are found before anything is paid; those that are right are left in peace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from r1net import Client, Evaluation
from r1net.errors import UsageError
from r1net.local_files import LocalFiles
from r1net.marks import WORTHLESS, Candidate, candidates
from r1net.probe import PROBLEMS, check_job, check_verifiers
from r1net.protocol.job import JobSpec, RewardSpec
from r1net.protocol.problems import EnvironmentSpec
from r1net.sandbox import Limits, SandboxedScorer, SandboxPool
from r1net.scoring import JobScorer
from tests.sandbox import IMPATIENT, SANDBOX
from tests.unit.coordinator.jobs import MODEL_FILES, job_spec
from tests.unit.sdk.checkpoints import vectors, write_folder

CORRECT, EXACT, FORMAT, MATH = (RewardSpec(name=name) for name in ("correct", "exact", "format", "math"))


def job(generator: str, *rewards: RewardSpec, config: dict[str, Any] | None = None, **changes: Any) -> JobSpec:
    environment = EnvironmentSpec(name=f"reasoning_gym:{generator}", config=config or {})
    return job_spec(
        environment=environment, rewards=rewards or (CORRECT,), evaluation=Evaluation(problems=0), **changes
    )


def scorer(spec: JobSpec, pool: Any = SANDBOX) -> SandboxedScorer:
    return SandboxedScorer(pool, spec, lambda: MODEL_FILES["tokenizer.json"], lambda: MODEL_FILES["config.json"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in MODEL_FILES.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


@pytest.mark.parametrize("rewards", [(CORRECT,), (EXACT,), (MATH,), (CORRECT, EXACT, FORMAT)])
def test_a_right_verifier_passes(rewards: tuple[RewardSpec, ...]) -> None:
    assert check_verifiers(scorer(job("chain_sum", *rewards))) == PROBLEMS


@pytest.mark.parametrize(
    "prompt", ["{question}<think>\n", "{question}\n<answer>", "{question}\n<think>\n\n</think>\n\n<answer>\n"]
)
def test_what_the_prompt_opened_belongs_to_the_answer(prompt: str) -> None:
    assert check_verifiers(scorer(job("chain_sum", prompt=prompt))) == PROBLEMS


def test_a_prompt_that_leaves_no_room_for_the_answer_is_found() -> None:
    with pytest.raises(UsageError, match="gives its reference answer"):
        check_verifiers(scorer(job("chain_sum", prompt="{question}\n<answer>It is 7, so")))


def test_a_verifier_that_takes_nan_for_every_number_is_found() -> None:
    with pytest.raises(UsageError, match=r"'correct' gives the worthless answer '<answer>nan</answer>' 1;"):
        check_verifiers(scorer(job("complex_arithmetic")))


def made_of(name: str, *parts: RewardSpec, **settings: Any) -> RewardSpec:
    return RewardSpec(name=name, config={"of": [part.model_dump() for part in parts], **settings})


@pytest.mark.parametrize(
    "reward",
    [
        made_of("sum", CORRECT, FORMAT),
        made_of("product", FORMAT, made_of("sum", CORRECT, MATH)),
        RewardSpec(name="cosine", config={"of": {"name": "correct"}}),
        RewardSpec(name="cosine"),
    ],
)
def test_a_verifier_that_is_a_part_of_another_reward_is_tried(reward: RewardSpec) -> None:
    assert check_verifiers(scorer(job("chain_sum", reward))) == PROBLEMS
    with pytest.raises(UsageError, match=r"'correct' gives the worthless answer '<answer>nan</answer>' 1;"):
        check_verifiers(scorer(job("complex_arithmetic", reward)))


@pytest.mark.parametrize("generator", ["fraction_simplification", "gcd", "decimal_arithmetic"])
def test_mathematics_is_right_about_reference_answers(generator: str) -> None:
    assert check_verifiers(scorer(job(generator, MATH))) == PROBLEMS


def test_mathematics_reads_answers_in_tags() -> None:
    inside = JobScorer(job("chain_sum", MATH), MODEL_FILES["tokenizer.json"])
    tried = list(candidates(inside, inside.problem("train", 0, 0)))
    assert [candidate.gold for candidate in tried] == [True, False, False, False]
    assert all(candidate.text.startswith("<answer>") for candidate in tried)


def test_a_job_without_a_verifying_reward_has_nothing_to_try() -> None:
    assert check_verifiers(scorer(job("complex_arithmetic", FORMAT))) == 0


def test_problems_without_a_reference_answer_are_tried_on_the_worthless() -> None:
    inside = JobScorer(job("rush_hour", CORRECT, EXACT), MODEL_FILES["tokenizer.json"])
    tried = list(candidates(inside, inside.problem("train", 0, 0)))
    assert not any(candidate.gold for candidate in tried)
    assert {candidate.text for candidate in tried} == {*WORTHLESS, *(f"<answer>{text}</answer>" for text in WORTHLESS)}
    assert check_verifiers(scorer(inside.spec)) == PROBLEMS


def test_a_worthless_answer_that_is_the_solution_is_no_fault() -> None:
    inside = JobScorer(job("chain_sum"), MODEL_FILES["tokenizer.json"])
    problem = inside.problem("train", 0, 0)
    given = type(problem)(problem.question, " NaN", problem.entry)
    assert list(candidates(inside, given)) == [
        Candidate("correct", "<answer> NaN</answer>", gold=True),
        Candidate("correct", "<answer></answer>", gold=False),
        Candidate("correct", "<answer>qwxyz</answer>", gold=False),
    ]


def test_slow_problems_are_tried_for_a_while_only() -> None:
    assert check_verifiers(scorer(job("chain_sum")), seconds=0.0) == 1


def test_problems_that_take_too_long_end_the_trial_in_words() -> None:
    endless = job("chain_sum", config={"min_terms": 3_000_000, "max_terms": 3_000_000})
    with pytest.raises(UsageError, match="CPU time"):
        scorer(endless, IMPATIENT).marks(0)


def test_a_verifier_that_takes_too_long_for_an_answer_is_named() -> None:
    """Its process is ended; in coordinator and nodes every answer would be worth nothing."""
    hasty = SandboxPool(processes=2, limits=Limits(grade_seconds=0.01))
    try:
        with pytest.raises(UsageError, match=r"problem \d+ ends its process: it takes more than 0.01 s of CPU"):
            check_verifiers(scorer(job("intermediate_integration"), hasty))
    finally:
        hasty.close()


def test_the_job_is_loaded_as_everyone_will(folder: Path) -> None:
    check_job(job("chain_sum"), folder, LocalFiles().path)
    with pytest.raises(UsageError, match="stop token id is outside the vocabulary"):
        check_job(job("chain_sum", stop_token_ids=(260,)), folder, LocalFiles().path)
    with pytest.raises(UsageError, match="no generator"):
        check_job(job("chain_sun"), folder, LocalFiles().path)


def test_a_weak_verifier_can_be_accepted_knowingly(folder: Path) -> None:
    weak = job("complex_arithmetic")
    with pytest.raises(UsageError) as refused:
        check_job(weak, folder, LocalFiles().path)
    assert "accept_weak_verifier=True" in str(refused.value.hint)
    check_job(weak, folder, LocalFiles().path, accept_weak_verifier=True)


def test_nothing_is_paid_for_a_weak_verifier(folder: Path) -> None:
    """No chain, no coordinator: both would be asked only behind the trial."""
    with (
        Client("https://nowhere.invalid", account=Account.create()) as client,
        pytest.raises(UsageError, match="worthless answer"),
    ):
        client.submit(job("complex_arithmetic"), folder)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"prompt": "nothing is asked"}, "0 times, not once"),
        ({"prompt": "{question}", "stop_token_ids": [260]}, "stop token 260 is not one of the model's 260"),
        ({"prompt": "{question}"}, "no eos_token_id and no eos_token"),
        ({"system_prompt": "{question}", "stop_token_ids": [7]}, "2 times, not once"),
        ({"prompt": "{question}", "stop_token_ids": [7]}, "worthless answer"),
    ],
)
def test_what_train_is_asked_is_checked_before_anything_is_paid(
    asked: dict[str, Any], words: str, tmp_path: Path
) -> None:
    write_folder(tmp_path, {"model.safetensors": vectors("norm")})
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes(MODEL_FILES[name])
    with Client("https://nowhere.invalid", account=Account.create()) as client, pytest.raises(UsageError, match=words):
        client.train(
            model=tmp_path,
            environment="reasoning_gym:complex_arithmetic",
            rounds=1,
            budget=1,
            token="0x" + "11" * 20,
            **asked,
        )


@pytest.mark.parametrize("generator", ["countdown", "sentence_reordering", "spell_backward", "advanced_geometry"])
def test_what_anything_earns_and_what_letters_earn_is_let_pass(generator: str) -> None:
    assert check_verifiers(scorer(job(generator))) == PROBLEMS


def test_a_verifier_that_often_pays_a_part_for_anything_is_found() -> None:
    with pytest.raises(
        UsageError, match=r"'<answer>nan</answer>' 0\.\d+ on average, more than 0\.05; one such problem: "
    ):
        check_verifiers(scorer(job("propositional_logic")))


def test_a_verifier_that_takes_anything_is_found_at_once() -> None:
    with pytest.raises(UsageError, match=r"'<answer></answer>' 1;|'<answer>nan</answer>' 1;"):
        check_verifiers(scorer(job("game_of_life_halting")))
