"""A curriculum's weights come from the coordinator, to hosts and to those who judge them: one that says something else
to each of them convicts nobody, and whoever answers a question of his own is convicted all the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from r1net.datasets import Dataset
from r1net.datasets.intake import prepare
from r1net.environments import Mix, Weights, sampling_seed
from r1net.environments.curriculum import WHOLE
from r1net.errors import ProtocolError, Refused
from r1net.local_files import LocalFiles
from r1net.protocol.canonical import canonical_bytes
from r1net.protocol.job import Evaluation, Grpo, JobSpec, JobView, PolicyVersion, Sampling
from r1net.protocol.problems import Curriculum, EnvironmentSpec, Part
from r1net.protocol.trace import Trace
from r1net.protocol.turns import Turns
from r1net.protocol.views import RoundMix
from r1net.sandbox import SandboxedScorer
from r1net.sandbox.answers import Place
from r1net.transport import Transport
from r1node.mixes import job_mix
from r1node.rollout.builtin import BuiltinEngine
from r1node.rollout.engine import Prompt
from r1node.rollout.turns import in_turns
from r1node.sandbox import job_scorer
from r1node.verification.judge import judge_work
from r1node.verification.replay import Replayer
from tests.sandbox import SANDBOX
from tests.unit.node.models import llama
from tests.unit.node.test_exhibit import Liar, liar, source  # noqa: F401 - fixtures
from tests.unit.node.test_innocent import handed_in, write_tokenizer
from tests.unit.node.test_training import spec

MODEL = llama()
JOB = "0x" + "11" * 32
SIZE = 4
TRUE: Weights = (WHOLE - 1, 1)
FALSE: Weights = (1, WHOLE - 1)
PLACES: list[Place] = [("train", 1, group) for group in range(3)]


def part(terms: int) -> Part:
    settings = {"min_terms": terms, "max_terms": terms}
    return Part(environment=EnvironmentSpec(name="reasoning_gym:basic_arithmetic", config=settings))


def job(*parts: Part, **changes: object) -> JobSpec:
    return spec(
        stage=Grpo(rounds=3, group_size=SIZE, groups_per_round=3),
        sampling=Sampling(max_tokens=40),
        environment=EnvironmentSpec(name="mix:two", parts=parts, curriculum=Curriculum()),
        evaluation=Evaluation(problems=0),
        **changes,
    )


SUMS = job(part(2), part(4))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    MODEL.save_pretrained(path)
    write_tokenizer(path)
    return path


def scorer(folder: Path, weights: Weights, job: JobSpec = SUMS, files: LocalFiles | None = None) -> SandboxedScorer:
    """As somebody has it to whom the coordinator says these weights."""
    return job_scorer(SANDBOX, job, folder, files.path if files else None, lambda _: weights)


def work(host: SandboxedScorer) -> list[Trace]:
    """An honest host's, in round 1."""
    engine = BuiltinEngine(MODEL.config, torch.float32)
    engine.load(MODEL.state_dict())
    prompts = [
        Prompt(prompt.ids, [sampling_seed(host.spec, *place, index) for index in range(SIZE)])
        for place, prompt in zip(PLACES, host.prompts(PLACES), strict=True)
    ]
    traces = handed_in(prompts, in_turns(engine, host, PLACES, prompts, host.spec.sampling))
    return [trace.model_copy(update={"round": 1}) for trace in traces]


def judge(folder: Path, judging: SandboxedScorer, traces: list[Trace]) -> tuple[str, ...]:
    """What is said against the work."""
    replayer = Replayer(judging.spec, folder, judging)
    replayer.load()
    return judge_work(replayer.replay(traces)).finding.faults


def test_honest_work_is_judged_where_the_weights_are_the_same(folder: Path) -> None:
    assert judge(folder, scorer(folder, TRUE), work(scorer(folder, TRUE))) == ()


def test_a_coordinator_that_says_other_weights_to_a_verifier_convicts_nobody(folder: Path) -> None:
    with pytest.raises(ProtocolError, match=r"mix of round 1 doesn't fit what it admitted.*can't be judged"):
        judge(folder, scorer(folder, FALSE), work(scorer(folder, TRUE)))


@pytest.mark.parametrize("told", [TRUE, FALSE])
def test_a_question_of_ones_own_is_found_whatever_the_weights(told: Weights, folder: Path) -> None:
    """Else a host could ask what it likes, and say that the weights were to blame."""
    own = scorer(folder, TRUE, job(part(3), part(3)))
    assert any("nats" in fault for fault in judge(folder, scorer(folder, told), work(own)))


def test_the_first_rounds_weights_are_nobodys_to_say(folder: Path) -> None:
    first: list[Place] = [("train", 0, group) for group in range(12)]
    assert scorer(folder, TRUE).prompts(first) == scorer(folder, FALSE).prompts(first)
    with pytest.raises(AssertionError, match="was asked"):
        job_scorer(SANDBOX, SUMS, folder, None, _never).prompts(PLACES)


def _never(_: int) -> Weights:
    raise AssertionError("was asked")


def test_a_tools_answer_is_held_against_nobody_when_it_may_be_another_parts(folder: Path, tmp_path: Path) -> None:
    """Two parts with the same question, so that the prompt doesn't tell them apart."""
    files = LocalFiles(tmp_path)
    parts = []
    for hints in (["sure"], ["again"]):
        rows = [{"question": "1 + 1", "answer": "2", "hints": hints}]
        data = prepare(Dataset(rows, heldout=0), files, lambda _: [], 0, 0).data
        parts.append(Part(environment=EnvironmentSpec(name="rows:own", data=data)))
    turns = Turns(tool="messages", config={"column": "hints"}, most=2, reply=" {reply}: ")
    told = job(*parts, turns=turns).model_copy(update={"sampling": Sampling(max_tokens=80)})
    traces = work(scorer(folder, TRUE, told, files))
    assert any(trace.given for trace in traces), "somebody ended a turn"
    assert judge(folder, scorer(folder, TRUE, told, files), traces) == ()
    with pytest.raises(ProtocolError, match="doesn't fit what it admitted"):
        judge(folder, scorer(folder, FALSE, told, files), traces)


def mix_from(coordinator: Transport) -> Mix:
    version = PolicyVersion(number=0, policy=JOB)
    view = JobView(job_id=JOB, spec_digest=JOB, spec=SUMS, state="running", phase="rollout", round=1, version=version)
    return job_mix(view, coordinator)


def test_weights_are_asked_for_once(liar: Liar, source: Transport) -> None:  # noqa: F811
    mix = mix_from(source)
    with pytest.raises(Refused):
        mix(1)
    liar.files["1"] = RoundMix(job_id=JOB, round=1, weights=TRUE).canonical()
    assert mix(1) == TRUE
    liar.files["1"] = RoundMix(job_id=JOB, round=1, weights=FALSE).canonical()
    assert mix(1) == TRUE


@pytest.mark.parametrize(
    "said",
    [
        {"weights": [1, 1]},
        {"weights": [WHOLE]},
        {"weights": [0, WHOLE]},
        {"weights": [-1, WHOLE + 1]},
        {"weights": [0.5, WHOLE - 0.5]},
        {"weights": [1, 1, WHOLE - 2]},
        {"weights": [1] * 10_000},
        {"weights": TRUE, "round": 2},
        {"weights": TRUE, "job_id": "0x" + "22" * 32},
    ],
)
def test_what_can_be_no_weights_is_refused(said: dict[str, object], liar: Liar, source: Transport) -> None:  # noqa: F811
    liar.files["1"] = canonical_bytes({"v": 1, "job_id": JOB, "round": 1} | said)
    with pytest.raises(ProtocolError):
        mix_from(source)(1)
