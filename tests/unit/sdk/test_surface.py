"""The public face: what is exported, what is imported, what a bad job is told."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

import r1net
from r1net import AsyncClient, Client, Evaluation, Run, Sampling, Verification
from r1net.asynchronous import AsyncRun
from r1net.environments import Draw, load_environment
from r1net.errors import R1Error, UsageError
from r1net.jobs import spread
from r1net.models import describe_model
from r1net.protocol.job import Grpo
from r1net.protocol.problems import EnvironmentSpec
from r1net.rewards import Completion, RewardSet, extract_answer, names, total
from tests.unit.coordinator.jobs import TOKEN
from tests.unit.node.test_training import spec


def test_all_names_exist() -> None:
    assert all(hasattr(r1net, name) for name in r1net.__all__)
    assert r1net.__all__ == sorted(r1net.__all__, key=lambda name: (name[0].islower(), name)) or r1net.__all__


def test_import_loads_neither_web3_nor_torch() -> None:
    code = "import r1net, sys; print([m for m in ('web3', 'torch', 'transformers') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("sync", "asynchronous"), [(Client, AsyncClient), (Run, AsyncRun)])
def test_one_surface(sync: type, asynchronous: type) -> None:
    """Whatever can be done with a network, a job or a trace can be done with asyncio too."""
    plumbing = {"close", "compose", "is_r1", "sign", "submit"}
    kinds = (lambda one: inspect.isfunction(one) or isinstance(one, property)) if sync is Run else inspect.isfunction
    public = {n for n, _ in inspect.getmembers(sync, kinds) if not n.startswith("_")} - plumbing
    assert public <= {n for n, _ in inspect.getmembers(asynchronous) if not n.startswith("_")}


def test_every_error_has_a_word_and_an_exit_code() -> None:
    def subclasses(kind: type[R1Error]) -> list[type[R1Error]]:
        return [kind, *(s for child in kind.__subclasses__() for s in subclasses(child))]

    for kind in subclasses(R1Error):
        assert kind.code.replace("_", "").isalnum()
        assert kind.exit_code in (1, 2, 3, 4, 5, 70)


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model folder"):
        describe_model(tmp_path / "missing")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match=r"tokenizer\.json"):
        describe_model(tmp_path)


def test_unknown_names_say_what_exists() -> None:
    with pytest.raises(UsageError, match="no generator"):
        load_environment(EnvironmentSpec(name="reasoning_gym:chain_sun"))
    with pytest.raises(UsageError, match="unknown environment"):
        load_environment(EnvironmentSpec(name="chain_sum"))
    with pytest.raises(UsageError, match="refuses its settings"):
        load_environment(EnvironmentSpec(name="reasoning_gym:chain_sum", config={"min_terms": -1}))


def test_heldout_problems_are_never_drawn() -> None:
    job = spec(
        environment=EnvironmentSpec(
            name="reasoning_gym:chain_sum", config={"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}
        ),
        evaluation=Evaluation(problems=100),
    )
    draw = Draw(job)
    held = {problem.question for problem in draw.heldout}
    assert len(held) == 100
    drawn = {draw.problem("train", round_, group).question for round_ in range(20) for group in range(16)}
    assert not held & drawn
    assert Draw(job).problem("train", 7, 3) == draw.problem("train", 7, 3)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("7", "7"),
        (" 7\n", "7"),
        ("<think>3+4</think><answer> 7 </answer>", "7"),
        ("<answer>6</answer> no, <answer>7</answer>", "7"),
        ("<answer>7", "<answer>7"),
    ],
)
def test_what_counts_as_the_answer(text: str, answer: str) -> None:
    assert extract_answer(text) == answer


@given(st.text(max_size=60))
def test_any_text_has_a_reward(text: str) -> None:
    environment = load_environment(EnvironmentSpec(name="reasoning_gym:chain_sum"))
    problem = environment.problem(1)
    job = spec()
    parts = RewardSet(job.rewards).parts(environment, problem, Completion(text))
    assert set(parts) == {"correct"}
    assert 0 <= (total(job.rewards, parts) or 0) <= 1
    assert {"correct", "exact", "format"} <= set(names())


@given(
    budget=st.integers(0, 10**24),
    rounds=st.integers(1, 50),
    groups=st.integers(1, 64),
    size=st.integers(2, 16),
    tokens=st.integers(1, 500),
    drawn=st.integers(1, 5),
    rate=st.floats(0, 1),
    training_rate=st.floats(0, 1),
)
def test_spread_prices_never_exceed_the_budget(
    budget: int, rounds: int, groups: int, size: int, tokens: int, drawn: int, rate: float, training_rate: float
) -> None:
    """Also when every piece of work has the longest completions, and the drawn share of it is repeated: an honest job
    isn't ended by its own checks."""
    stage = Grpo(rounds=rounds, groups_per_round=groups, group_size=size, dynamic_sampling=drawn)
    evaluation = Evaluation(problems=20, sampling=Sampling(max_tokens=tokens))
    verification = Verification(rate=rate, training_rate=training_rate)
    prices = spread(budget, stage, Sampling(max_tokens=tokens), evaluation, verification)
    trained = rounds * groups * size * tokens
    sampled = drawn * trained + 40 * tokens
    shares = sampled * verification.rate_of("rollout") + trained * verification.rate_of("training")
    repeated = int(shares) * prices.verified_token
    assert sampled * prices.rollout_token + trained * prices.trained_token + repeated <= budget


@pytest.mark.parametrize("wrong", [{"los": "gspo"}, {"loss": "ppo"}, {"dynamic_sampling": 0}])
def test_a_wrong_setting_of_the_stage_is_named(wrong: dict[str, object], tmp_path: Path) -> None:
    with (
        Client("https://nowhere.invalid", account=Account.create()) as client,
        pytest.raises(UsageError, match=next(iter(wrong))),
    ):
        client.train(model=tmp_path, environment="reasoning_gym:chain_sum", rounds=1, budget=1, token=TOKEN, grpo=wrong)
