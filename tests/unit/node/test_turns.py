"""Completions of several turns: sampled as if they were one, replayed at their places, learnt from where they were
sampled, and by every engine alike."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from r1net.environments import sampling_seed
from r1net.protocol.job import JobSpec, Sampling
from r1net.protocol.turns import Turns
from r1net.sandbox.answers import Place
from r1node.rollout.builtin import BuiltinEngine
from r1node.rollout.engine import Completion, Prompt, RolloutEngine
from r1node.rollout.transformers import TransformersEngine
from r1node.rollout.turns import in_turns
from r1node.sandbox import job_scorer
from r1node.training.packing import Group, Sample
from r1node.verification.judge import judge_trace, judge_work
from r1node.verification.replay import Replayer
from tests.sandbox import SANDBOX
from tests.unit.node.models import STOP, VOCABULARY, llama
from tests.unit.node.test_innocent import GROUPS, SIZE, handed_in, job, write_tokenizer
from tests.unit.node.test_training import close, gradient_of, trainer

MODEL = llama()
TURNS = Turns(tool="messages", config={"texts": ["sure", "again"]}, most=3, reply=" {reply}: ")


def engines() -> list[RolloutEngine]:
    made: list[RolloutEngine] = [
        BuiltinEngine(MODEL.config, torch.float32),
        TransformersEngine(MODEL, torch.float32),
    ]
    for engine in made:
        engine.load(MODEL.state_dict())
    return made


ENGINES = engines()


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**40), cut=st.integers(1, 15), which=st.integers(0, 1))
def test_a_completion_that_is_cut_goes_on_as_it_would_have(seed: int, cut: int, which: int) -> None:
    engine, sampling, ids = ENGINES[which], Sampling(max_tokens=16), [5, 9, 3]
    ((whole,),) = engine.generate([Prompt(ids, [seed])], sampling, [STOP])
    if cut >= len(whole.token_ids):
        return
    others = [Prompt([7] * 6, [1, 2]), Prompt([*ids, 4], [3], begun=1)]
    begun = Prompt([*ids, *whole.token_ids[:cut]], [seed], begun=cut)
    (rest,), *_ = engine.generate([begun, *others], sampling, [STOP])
    assert rest.token_ids == whole.token_ids[cut:]
    assert rest.finish_reason == whole.finish_reason
    assert rest.logprobs == pytest.approx(whole.logprobs[cut:], abs=1e-4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    MODEL.save_pretrained(path)
    write_tokenizer(path)
    return path


def spec() -> JobSpec:
    return job("float32").model_copy(update={"turns": TURNS, "sampling": Sampling(max_tokens=80)})


def made_by(engine: RolloutEngine, folder: Path) -> tuple[list[Prompt], list[list[Completion]]]:
    scorer = job_scorer(SANDBOX, spec(), folder)
    places: list[Place] = [("train", 0, group) for group in range(GROUPS)]
    prompts = [
        Prompt(prompt.ids, [sampling_seed(spec(), *place, index) for index in range(SIZE)])
        for place, prompt in zip(places, scorer.prompts(places), strict=True)
    ]
    return prompts, in_turns(engine, scorer, places, prompts, spec().sampling)


@pytest.mark.parametrize("which", [0, 1], ids=["builtin", "transformers"])
def test_turns_and_answers_stand_where_they_belong(which: int, folder: Path) -> None:
    _, made = made_by(ENGINES[which], folder)
    flat = [one for members in made for one in members]
    assert {len(one.given) for one in flat} >= {1, 2}, "the sample has completions of several turns"
    for one in flat:
        assert len(one.given) <= 2
        assert len(one.token_ids) == len(one.logprobs) <= 80
        for begin, end in one.given:
            assert one.token_ids[begin - 1] == STOP
            assert one.logprobs[begin:end] == [0.0] * (end - begin)
        assert (one.token_ids[-1] == STOP) == (one.finish_reason == "stop")


@pytest.mark.parametrize("which", [0, 1], ids=["builtin", "transformers"])
def test_honest_work_of_several_turns_is_found_innocent(which: int, folder: Path) -> None:
    replayer = Replayer(spec(), folder, job_scorer(SANDBOX, spec(), folder))
    replayer.load()
    traces = handed_in(*made_by(ENGINES[which], folder))
    found = judge_work(replayer.replay(traces)).finding
    assert (found.faults, found.tokens) == ((), sum(trace.tokens for trace in traces))


def test_who_says_that_a_tool_said_it_is_found(folder: Path) -> None:
    """Tokens of the model's own that are passed off as given leave their places: what follows was not drawn there."""
    replayer = Replayer(spec(), folder, job_scorer(SANDBOX, spec(), folder))
    replayer.load()
    prompts, made = made_by(ENGINES[0], folder)
    shifted = [
        [
            Completion(
                [*one.token_ids[:2], 7, 7, 7, *one.token_ids[2:]],
                [*one.logprobs[:2], 0.0, 0.0, 0.0, *one.logprobs[2:]],
                one.finish_reason,
                ((2, 5),),
            )
            for one in members
        ]
        for members in made
    ]
    assert judge_work(replayer.replay(handed_in(prompts, shifted))).finding.faults


def test_answers_that_the_tool_did_not_give_are_found(folder: Path) -> None:
    replayer = Replayer(spec(), folder, job_scorer(SANDBOX, spec(), folder))
    replayer.load()
    traces = handed_in(*made_by(ENGINES[0], folder))
    several = next(trace for trace in traces if trace.given)
    begin, _ = several.given[0]
    ids = list(several.completion_ids)
    ids[begin + 1] = 5 if ids[begin + 1] != 5 else 6
    cut = several.model_copy(
        update={
            "completion_ids": several.completion_ids[:begin],
            "logprobs": several.logprobs[:begin],
            "given": (),
            "finish_reason": "stop",
        }
    )
    for changed, words in (
        (several.model_copy(update={"completion_ids": tuple(ids)}), "another answer"),
        (cut, "left out"),
    ):
        (replay,) = replayer.replay([changed])
        assert words in (judge_trace(replay).fault or "")


def test_what_a_tool_said_teaches_nothing(tmp_path: Path) -> None:
    """The gradient is that of the sampled tokens alone, in the context of the answers."""
    MODEL.save_pretrained(tmp_path)
    rng = random.Random(0)
    ids = [rng.randrange(2, VOCABULARY) for _ in range(12)]
    logprobs = [-1.0] * 4 + [0.0] * 3 + [-2.0] * 5
    sample = Sample(ids, logprobs, 0.7, ((4, 7),))
    made = trainer(tmp_path)
    made.accumulate([Group([5, 9, 3], [sample])], gradient_of(9))
    naive = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    logits = naive(torch.tensor([[5, 9, 3, *ids]])).logits[0].log_softmax(-1)[2:-1]
    chosen = logits.gather(1, torch.tensor(ids)[:, None])[sample.sampled, 0]
    said = torch.tensor(logprobs)[sample.sampled]
    (-(chosen * (chosen.detach() - said).exp().clamp(max=2.0) * 0.7).sum() / 9).backward()
    expected = torch.cat([p.grad.reshape(-1) for _, p in sorted(naive.named_parameters()) if p.grad is not None])
    assert close(made.gradient(), expected)
