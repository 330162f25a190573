"""The vLLM engine, for real: one server in fp32 on SmolLM2-135M, shared by all tests.

The environment is R1_VLLM_DIR, or build/engines/vllm, where `make vllm` installs it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from r1net.errors import EngineError, PreflightError
from r1net.protocol.job import Sampling
from r1node.rollout.builtin import BuiltinEngine
from r1node.rollout.engine import Completion, Prompt
from r1node.rollout.noise import Noise
from r1node.rollout.sampler import Redraw, redraw
from r1node.rollout.vllm.client import Client
from r1node.rollout.vllm.engine import VllmEngine
from r1node.rollout.vllm.environment import Environment
from tests.benchmarks.workload import MODEL, ROOT, prompts
from tests.e2e.demo.smollm2 import smollm2

FOLDER = Path(os.environ.get("R1_VLLM_DIR", ROOT / "build" / "engines" / "vllm"))
ENVIRONMENT = Environment(FOLDER)
GROUP = 4
NEARLY_ALL = 0.85
"""Of sequences. Two engines round differently, and between unlikely tokens, of which there are tens of thousands, some
draws fall so near a border that this decides; the continuation is another one then."""

BORDER = 1e-5
"""How far from its token's interval an fp32 draw may lie for that reason. A wrong uniform is off by 0.3 on average."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(ENVIRONMENT.variant is None, reason=f"no vLLM in {FOLDER}; `make vllm` installs it"),
]

Groups = list[list[Completion]]


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    smollm2(MODEL)
    weights: dict[str, Tensor] = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).state_dict()
    return weights


@pytest.fixture(scope="module")
def batch() -> list[Prompt]:
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    return [
        Prompt(tokenizer(text).input_ids, [number * GROUP + row for row in range(GROUP)])
        for number, text in enumerate(prompts())
    ]


@pytest.fixture(scope="module")
def ours(weights: dict[str, Tensor]) -> BuiltinEngine:
    engine = BuiltinEngine(AutoConfig.from_pretrained(MODEL), torch.float32)
    engine.load(weights)
    return engine


@pytest.fixture(scope="module")
def vllm(weights: dict[str, Tensor]) -> Iterator[VllmEngine]:
    folder = ROOT / "build" / "vllm-test"  # always the same: what vLLM compiled is found by the model's path
    engine = VllmEngine(AutoConfig.from_pretrained(MODEL), torch.float32, "cpu", ENVIRONMENT, folder)
    started = time.monotonic()
    engine.load(weights)
    print(f"\nvLLM started in {time.monotonic() - started:.0f} s")
    yield engine
    pid = engine.server_pid
    engine.close()
    assert pid is not None
    assert not Path(f"/proc/{pid}").exists()


def flat(groups: Groups) -> list[Completion]:
    return list(chain.from_iterable(groups))


def share_equal(a: Groups, b: Groups) -> float:
    pairs = list(zip(flat(a), flat(b), strict=True))
    return sum(x.token_ids == y.token_ids for x, y in pairs) / len(pairs)


def replay(weights: dict[str, Tensor], prompt: Prompt, row: int, completion: Completion, sampling: Sampling) -> Redraw:
    """What a plain forward pass in fp32 says of a completion."""
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(MODEL), dtype=torch.float32).eval()
    model.load_state_dict(weights)
    tokens = torch.tensor(completion.token_ids)
    with torch.no_grad():
        logits = model(torch.cat((torch.tensor(list(prompt.ids)), tokens))[None]).logits[0]
    first = len(prompt.ids) - 1
    noise = Noise([prompt.seeds[row]], logits.shape[-1])
    drawn = noise.at(torch.zeros(len(tokens), dtype=torch.long), torch.arange(len(tokens)))
    return redraw(logits[first:-1], drawn, tokens, sampling)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(max_tokens=32),
        Sampling(max_tokens=16, temperature=0),
        Sampling(max_tokens=16, temperature=0.7, top_p=0.9),
        Sampling(max_tokens=16, temperature=1.3, top_k=20),
        Sampling(max_tokens=16, temperature=0.005),
    ],
    ids=str,
)
def test_same_seeds_give_the_same_tokens_as_the_built_in_engine(
    vllm: VllmEngine, ours: BuiltinEngine, batch: list[Prompt], sampling: Sampling
) -> None:
    theirs, mine = vllm.generate(batch, sampling, []), ours.generate(batch, sampling, [])
    assert share_equal(theirs, mine) >= NEARLY_ALL
    for a, b in zip(flat(theirs), flat(mine), strict=True):
        if a.token_ids == b.token_ids:
            assert a.logprobs == pytest.approx(b.logprobs, abs=2e-3)
            assert a.finish_reason == b.finish_reason == "length"


def test_a_draw_does_not_depend_on_the_batch(vllm: VllmEngine, batch: list[Prompt]) -> None:
    sampling = Sampling(max_tokens=24)
    together = vllm.generate(batch, sampling, [])
    backwards = [vllm.generate([prompt], sampling, [])[0] for prompt in reversed(batch[:6])]
    assert share_equal(together[:6], backwards[::-1]) >= NEARLY_ALL
    alone = vllm.generate([Prompt(batch[3].ids, batch[3].seeds[2:3])], sampling, [])
    assert alone[0][0].token_ids == together[3][2].token_ids


def test_a_completion_that_is_cut_goes_on_as_it_would_have(vllm: VllmEngine, batch: list[Prompt]) -> None:
    """As it does where a tool has answered: with the noise of the next place, and no longer than it may be."""
    sampling = Sampling(max_tokens=24)
    whole = vllm.generate(batch, sampling, [])
    begun, rests = [], []
    for number, (prompt, group) in enumerate(zip(batch, whole, strict=True)):
        cut = 1 + number % 23
        for seed, completion in zip(prompt.seeds, group, strict=True):
            begun.append(Prompt([*prompt.ids, *completion.token_ids[:cut]], [seed], begun=cut))
            rests.append(completion.token_ids[cut:])
    further = flat(vllm.generate(begun, sampling, []))
    assert [len(one.token_ids) for one in further] == [len(rest) for rest in rests]
    assert {one.finish_reason for one in further} == {"length"}
    equal = sum(list(one.token_ids) == list(rest) for one, rest in zip(further, rests, strict=True))
    assert equal >= NEARLY_ALL * len(rests)


@pytest.mark.parametrize(
    "sampling", [Sampling(max_tokens=32), Sampling(max_tokens=32, temperature=0.8, top_p=0.9)], ids=str
)
def test_every_draw_follows_its_seed_and_says_the_trainers_logprob(
    vllm: VllmEngine, batch: list[Prompt], weights: dict[str, Tensor], sampling: Sampling
) -> None:
    groups = vllm.generate(batch, sampling, [])
    for prompt, group in list(zip(batch, groups, strict=True))[:4]:
        for row, completion in enumerate(group):
            held = replay(weights, prompt, row, completion, sampling)
            assert float(held.misses.max()) < BORDER
            assert completion.logprobs == pytest.approx(held.logprobs.tolist(), abs=1e-3)


def test_a_stop_token_ends_a_completion_and_belongs_to_it(
    vllm: VllmEngine, ours: BuiltinEngine, batch: list[Prompt]
) -> None:
    sampling = Sampling(max_tokens=24)
    free = flat(vllm.generate(batch, sampling, []))
    stop = max(set(free[0].token_ids[2:]), key=lambda token: sum(token in c.token_ids for c in free))
    stopped = vllm.generate(batch, sampling, [stop])
    assert {c.finish_reason for c in flat(stopped)} == {"stop", "length"}
    for completion in flat(stopped):
        ended = completion.finish_reason == "stop"
        assert (stop in completion.token_ids) == ended
        assert not ended or completion.token_ids.index(stop) == len(completion.token_ids) - 1
        assert len(completion.logprobs) == len(completion.token_ids)
    assert share_equal(stopped, ours.generate(batch, sampling, [stop])) >= NEARLY_ALL


def test_a_long_prompt_in_pieces_draws_the_same(vllm: VllmEngine, ours: BuiltinEngine, batch: list[Prompt]) -> None:
    ids = list(chain.from_iterable(prompt.ids for prompt in batch))
    long = [Prompt((ids * 10)[: 4500 + 7 * number], [number]) for number in range(2)]
    sampling = Sampling(max_tokens=8)
    assert share_equal(vllm.generate(long, sampling, []), ours.generate(long, sampling, [])) == 1


def test_pushed_weights_change_what_is_drawn(
    vllm: VllmEngine, ours: BuiltinEngine, batch: list[Prompt], weights: dict[str, Tensor]
) -> None:
    sampling = Sampling(max_tokens=16)
    before = vllm.generate(batch, sampling, [])
    generator = torch.Generator().manual_seed(5)
    other = {name: w + 0.02 * w * torch.randn(w.shape, generator=generator) for name, w in weights.items()}
    other["lm_head.weight"] = other["model.embed_tokens.weight"]
    seconds = []
    for pushed in (weights, other, weights, other):
        started = time.monotonic()
        vllm.load(pushed)
        seconds.append(time.monotonic() - started)
    print(f"\nweight pushes in {', '.join(f'{s:.2f}' for s in seconds)} s")
    changed = vllm.generate(batch, sampling, [])
    ours.load(other)
    assert share_equal(changed, before) < 0.5
    assert share_equal(changed, ours.generate(batch, sampling, [])) >= NEARLY_ALL
    ours.load(weights)
    vllm.load(weights)
    assert share_equal(vllm.generate(batch, sampling, []), before) == 1


def test_a_cancelled_generation_stops_the_servers_work(vllm: VllmEngine, batch: list[Prompt]) -> None:
    calls: list[tuple[int, int]] = []

    def cancel(done: int, total: int) -> None:
        calls.append((done, total))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vllm.generate(batch, Sampling(max_tokens=2000), [], cancel)
    assert calls == [(0, len(batch) * GROUP)]
    started = time.monotonic()
    vllm.generate(batch[:1], Sampling(max_tokens=2), [])
    assert time.monotonic() - started < 30  # the 128,000 tokens would take minutes


def test_progress_counts_finished_sequences(vllm: VllmEngine, batch: list[Prompt]) -> None:
    told: list[tuple[int, int]] = []
    vllm.generate(batch, Sampling(max_tokens=8), [], lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (len(batch) * GROUP,) * 2


def test_what_the_server_refuses_is_an_error_with_its_words(vllm: VllmEngine) -> None:
    with pytest.raises(EngineError, match=r"refused: .*empty"):
        vllm.generate([Prompt([], [1])], Sampling(max_tokens=4), [])
    with pytest.raises(PreflightError, match="8192 positions"):
        vllm.generate([Prompt([1] * 8190, [1])], Sampling(max_tokens=4), [])
    with pytest.raises(PreflightError, match="outside the model's vocabulary"):
        vllm.generate([Prompt([10**6], [1])], Sampling(max_tokens=4), [])
    assert len(vllm.generate([Prompt([1, 2, 3], [1])], Sampling(max_tokens=4), [])[0][0].token_ids) == 4


def test_nobody_gets_in_without_the_key(vllm: VllmEngine, batch: Sequence[Prompt]) -> None:
    running = vllm._running.process
    assert running is not None
    intruder = Client(running.port, "guess")
    with pytest.raises(EngineError, match="wrong key"):
        list(intruder.generate(batch, Sampling(max_tokens=2), []))
    intruder.close()


def test_a_killed_server_is_started_anew_in_mid_generation(vllm: VllmEngine, batch: list[Prompt]) -> None:
    sampling = Sampling(max_tokens=64)
    expected = vllm.generate(batch, sampling, [])
    killed = vllm.server_pid
    assert killed is not None

    def kill(done: int, total: int) -> None:
        if vllm.server_pid == killed:
            os.kill(killed, signal.SIGKILL)

    assert share_equal(vllm.generate(batch, sampling, [], kill), expected) >= NEARLY_ALL
    assert vllm.server_pid not in (None, killed)


def test_a_server_that_dies_twice_is_an_error_and_not_the_end(vllm: VllmEngine, batch: list[Prompt]) -> None:
    def kill(done: int, total: int) -> None:
        if vllm.server_pid is not None:
            os.kill(vllm.server_pid, signal.SIGKILL)

    with pytest.raises(EngineError, match=r"died twice over one task: .*SIGKILL"):
        vllm.generate(batch, Sampling(max_tokens=64), [], kill)
    assert len(vllm.generate(batch[:1], Sampling(max_tokens=2), [])[0]) == GROUP
