"""What submitters get wrong is told in a sentence, with the next step, before anything is computed or paid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from r1net import R1, Dataset, Evaluation, Lora, Optimizer, Prices, RewardSpec, Sampling, Tool, Verification
from r1net.amounts import about, amount_of, wei_of
from r1net.errors import R1Error, UsageError
from r1net.jobs import JobArguments, compose
from r1net.jobs.compose import Composed
from r1net.jobs.given import _READERS
from r1net.jobs.validate import faults, require_sensible
from r1net.local_files import LocalFiles
from r1net.prices import price_of
from r1net.protocol.job import Grpo
from r1net.protocol.problems import Curriculum
from tests.unit.coordinator.jobs import MODEL_FILES, STOP, job_spec
from tests.unit.sdk.checkpoints import vectors, write_folder

ACCOUNT = Account.create().address


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("model")
    write_folder(made, {"model.safetensors": vectors("norm")})
    for name in ("config.json", "tokenizer.json"):
        (made / name).write_bytes(MODEL_FILES[name])
    return made


def composed(folder: Path, **changes: Any) -> Composed:
    job: dict[str, Any] = {
        "model": folder,
        "environment": "reasoning_gym:chain_sum",
        "prompt": "{question}",
        "stop_token_ids": [STOP],
        "rounds": 2,
        "budget": 5 * R1,
    }
    given = {name: value for name, value in (job | changes).items() if value is not ...}
    return compose(given, ACCOUNT, lambda: "0x" + "11" * 20, LocalFiles(folder.parent / "files"))  # type: ignore[arg-type]


def test_every_argument_is_read() -> None:
    assert _READERS.keys() == JobArguments.__annotations__.keys()


@pytest.mark.parametrize(
    ("change", "words", "hint"),
    [
        ({"sampling": {"temperature": 0}}, "all completions of a group would be the same", "only evaluations"),
        ({"sampling": Sampling(temperature=1e-5)}, "sampling.temperature 1e-05", ""),
        ({"sampling": Sampling(top_k=1)}, "sampling.top_k 1", "at least 2"),
        ({"sampling": Sampling(top_p=1e-6)}, "sampling.top_p 1e-06", "0.9"),
        ({"sampling": {"temprature": 1}}, "sampling: temprature: there is no such setting", "temperature?"),
        ({"sampling": {"max_tokens": 0}}, "max_tokens: 0 is not at least 1", ""),
        ({"sampling": 5}, "sampling: 5 is no Sampling", "r1net.Sampling(…)"),
        ({"optimizer": Optimizer(learning_rate=0.9)}, "learning_rate 0.9 would destroy the model", "1e-6 to 1e-4"),
        ({"optimizer": {"learning_rate": 0.01, "weight_decay": 100}}, "weight_decay 100 takes all", "0 to 0.1"),
        ({"optimizer": {"learning_rate": float("nan")}}, "nan is not a finite number", ""),
        ({"name": ""}, "name is blank", "leave name= out"),
        ({"name": " \t "}, "name is blank", "leave name= out"),
        ({"name": "two\nlines"}, "characters that can't be shown", "one line"),
        ({"name": "x" * 101}, "name: it has more than 100 characters", ""),
        ({"prices": Prices(rollout_token=R1)}, "the budget is 5 R1, but one round", "what is not spent comes back"),
        ({"prices": {"rollout_token": -1}}, "prices: rollout_token: -1 is not at least 0", ""),
        ({"budget": -5}, "budget can't be negative", "100 R1"),
        ({"budget": 2.5}, "did you mean 2.5 R1?", "100 R1"),
        ({"budget": "5 pounds"}, "budget: '5 pounds' is no amount", "100 R1"),
        ({"budget": 2**256}, "budget can't be so large", ""),
        ({"budget": ...}, "budget is missing", "budget="),
        ({"model": ...}, "model is missing", "model="),
        ({"seed": -1}, "seed: -1 is not at least 0", ""),
        ({"seed": "one"}, "seed: 'one' is not a whole number", ""),
        ({"rounds": 0}, "rounds: 0 is not at least 1", ""),
        ({"rounds": True}, "rounds: True is not a whole number", ""),
        ({"rounds": 2.0}, "rounds: 2.0 is not a whole number", ""),
        ({"group_size": 1}, "group_size: 1 is not at least 2", ""),
        ({"epoch_rounds": 0}, "epoch_rounds: 0 is not at least 1", ""),
        ({"token": "0x12"}, "token: '0x12' is no address", "pay in R1"),
        ({"reward": 5}, "reward: 5 is no reward", "RewardSpec"),
        ({"reward": []}, "reward: it has fewer than 1 entries", ""),
        ({"reward": ("correct", 0.5)}, "reward: 0.5 is no reward", '("correct", 1.0)'),
        ({"reward": [("correct", "much")]}, "the weight 'much' is not a number", ""),
        ({"reward": [("correct", 0)]}, "weight 0: there is nothing to learn", "a weight"),
        ({"reward": "corect"}, "unknown reward 'corect'", "did you mean correct?"),
        ({"reward": ["correct", "correct"]}, "two rewards have the same name", ""),
        ({"grpo": {"los": "gspo"}}, "grpo: there is no setting 'los'", "did you mean loss?"),
        ({"grpo": {"loss": "gsop"}}, "loss: 'gsop' is not", "did you mean gspo?"),
        ({"grpo": {"kind": "grpo"}}, "grpo: there is no setting 'kind'", ""),
        ({"grpo": {"v": 1}}, "grpo: there is no setting 'v'", ""),
        ({"grpo": {"rounds": 3}}, "rounds is an argument of its own", "rounds="),
        ({"lr": 3}, "no argument 'lr'", "optimizer=Optimizer(learning_rate=…)"),
        ({"beta": 0.1}, "no argument 'beta'", 'grpo={"kl_coef": …}'),
        ({"num_generations": 4}, "no argument 'num_generations'", "group_size="),
        ({"max_token": 4}, "no argument 'max_token'", "sampling=Sampling(max_tokens=…)"),
        ({"groupsize": 4}, "no argument 'groupsize'", "group_size="),
        ({"rouds": 4}, "no argument 'rouds'", "rounds="),
        ({"xyzzy": 4}, "no argument 'xyzzy'", "there are model, rounds, budget"),
        ({"environment": 5}, "environment: 5 names no environment", "reasoning_gym"),
        ({"environment": [("reasoning_gym:chain_sum", -1)]}, "the weight -1 is not more than 0", ""),
        ({"environment": ...}, "the job has no problems", "dataset="),
        ({"environment_config": {"min_terms": float("nan")}}, "holds what is no JSON", "numbers"),
        ({"environment_config": {"min_terms": {1, 2}}}, "holds what is no JSON", "numbers"),
        ({"environment": "rows:mine"}, "rows:<label> has data", ""),
        ({"dataset": 5}, "dataset: 5 is no data set", "a path"),
        ({"dataset": {"question": "?"}}, "is no data set", "list of rows"),
        ({"dataset": Dataset([{"question": "?"}], prompt=5)}, "dataset.prompt: 5 is not a text", ""),  # type: ignore[arg-type]
        ({"dataset": "~nobody-by-this-name/rows.jsonl"}, "can be no path", ""),
        ({"curriculum": {"rounds": 0}}, "curriculum: rounds: 0 is not at least 1", ""),
        ({"prompt": ""}, "{question} 0 times", ""),
        ({"prompt": 5}, "prompt: 5 is not a text", ""),
        ({"stop_token_ids": []}, "stop_token_ids: [] is no list of tokens", ""),
        ({"stop_token_ids": ["</s>"]}, "stop_token_ids: '</s>' is not a whole number", ""),
        ({"tool": 5}, "tool: 5 is no tool", "r1net.Tool"),
        ({"tool": Tool("calculater", reply="{reply}")}, "unknown tool 'calculater'", "did you mean calculator?"),
        ({"turns": 3}, "a job without a tool has one turn", ""),
        ({"dtype": "float16"}, "dtype: 'float16' is not one of bfloat16, float32", ""),
        ({"accept_weak_verifier": "yes"}, "accept_weak_verifier: 'yes' is not True or False", ""),
        ({"model": "nowhere"}, "no model folder at nowhere", "Hugging Face"),
        ({"model": ""}, "model: '' is not a path", ""),
        ({"model": "x" * 5000}, "can be no path", ""),
        ({"lora": {"rank": 0}}, "lora: rank: 0 is not at least 1", ""),
        ({"evaluation": {"problems": -1}}, "evaluation: problems: -1 is not at least 0", ""),
        ({"verification": {"rat": 1}}, "verification: rat: there is no such setting", "rate?"),
    ],
    ids=lambda value: str(value)[:50] if isinstance(value, dict) else "",
)
def test_a_mistake_is_told_in_a_sentence(change: dict[str, Any], words: str, hint: str, folder: Path) -> None:
    with pytest.raises(UsageError) as caught:
        composed(folder, **change)
    assert words in caught.value.message
    assert hint in (caught.value.hint or "")
    assert "pydantic" not in str(caught.value)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Prices(rollout_token=-1), "Prices(…): rollout_token: -1 is not at least 0"),
        (
            lambda: Sampling(temprature=1),
            "Sampling(…): temprature: there is no such setting (did you mean temperature?)",
        ),
        (lambda: Evaluation(problems="all"), "problems: 'all' is not a whole number"),
        (lambda: Verification(rate=2), "rate: 2 is not at most 1"),
        (lambda: Lora(rank=0), "rank: 0 is not at least 1"),
        (lambda: RewardSpec(name="two words"), "RewardSpec(…): name"),
        (lambda: Curriculum(least=0), "least: 0 is not more than 0"),
        (lambda: Grpo(rounds=0), "rounds: 0 is not at least 1"),
        (lambda: Optimizer(learning_rate=1), "learning_rate: 1 is not less than 1"),
    ],
)
def test_settings_refuse_in_words_where_they_are_written(make: Any, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert words in str(caught.value)


def test_what_is_given_as_a_table_is_the_same_job(folder: Path) -> None:
    told = composed(
        folder,
        budget="5 R1",
        sampling={"max_tokens": 8},
        lora={"rank": 4},
        evaluation={"problems": 3},
        optimizer=None,
        curriculum=None,
    )
    made = composed(folder, sampling=Sampling(max_tokens=8), lora=Lora(rank=4), evaluation=Evaluation(problems=3))
    assert told.spec.digest() == made.spec.digest()
    assert composed(folder / ".." / folder.name).spec.name == f"{folder.name} on reasoning_gym:chain_sum"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=40)
    | st.sampled_from(["correct", "5 R1"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
FIELDS = sorted(
    {name for kind in (Sampling, Optimizer, Lora, Evaluation, Verification, Prices, Grpo) for name in kind.model_fields}
)
TABLES = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), JSON, max_size=3)


@settings(
    deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.sampled_from(sorted(_READERS)), JSON | TABLES)
def test_any_value_of_any_argument_is_a_job_or_a_usage_error(folder: Path, name: str, value: object) -> None:
    try:
        spec = composed(folder, **{name: value}).spec
    except UsageError:
        return
    assert spec.digest()
    assert not list(faults(spec))


@given(st.text(min_size=1, max_size=30), JSON)
def test_any_other_name_is_refused(name: str, value: object) -> None:
    if name not in _READERS:
        with pytest.raises(UsageError, match="no argument"):
            compose({name: value}, ACCOUNT, lambda: "0x" + "11" * 20, LocalFiles())  # type: ignore[misc]


def test_what_the_network_says_goes_through(folder: Path) -> None:
    """A fault that isn't the arguments' keeps its own kind."""

    def nobody() -> str:
        raise R1Error("no network")

    with pytest.raises(R1Error, match="no network"):
        compose({"model": folder, "rounds": 1, "budget": 1}, ACCOUNT, nobody, LocalFiles())


@given(st.integers(0, 2**256 - 1))
def test_amounts_read_as_they_are_written(wei: int) -> None:
    assert wei_of(amount_of(wei).replace(",", "")) == wei
    assert wei_of(wei) == wei
    assert wei - wei_of(about(wei).replace(",", "")) <= wei // 10**5
    assert wei_of(about(wei).replace(",", "")) <= wei


@given(JSON)
def test_any_amount_is_one_or_refused(value: object) -> None:
    try:
        assert 0 <= wei_of(value) < 2**256
    except UsageError:
        return


@pytest.mark.parametrize(
    "text", ["5", "5R1", "R1", "nan R1", "inf R1", "-1 R1", "1e999999999 R1", "1e-30 R1", "0.5 wei", ""]
)
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(UsageError):
        wei_of(text)


def test_a_budget_pays_one_round_or_the_job_is_refused() -> None:
    """The line is where hosts would be paid less than the list says."""
    for price in (10**4, 5 * 10**6, 10**7, 10**9):
        spec = job_spec(prices=Prices(rollout_token=price, trained_token=price))
        refused = [code for code, _ in faults(spec)]
        assert refused == ([] if price_of(spec).rollout == price else ["budget_too_small"])


def test_the_job_of_all_other_tests_is_sensible() -> None:
    require_sensible(job_spec())
