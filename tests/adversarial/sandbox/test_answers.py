"""Answers as strangers write them: none of their text runs or hangs, and honest marks stay as they were."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from reasoning_gym.factory import DATASETS
from tokenizers import Tokenizer

from r1net.errors import UsageError
from r1net.protocol.job import Evaluation, JobSpec, RewardSpec, Sampling
from r1net.protocol.problems import EnvironmentSpec
from r1net.rewards import extract_answer
from r1net.sandbox import Limits, SandboxedScorer, SandboxFailed, SandboxPool
from r1net.sandbox.answers import Graded
from r1net.sandbox.boundary import ENVIRONMENT
from tests.sandbox import SANDBOX
from tests.unit.coordinator.jobs import MODEL_FILES, STOP, job_spec, tokenizer_json

PLACE = ("train", 0, 0)
GENERATORS = sorted(set(DATASETS) - {"composite"})
EVALUATING = (
    *("spiral_matrix", "string_insertion", "binary_matrix", "n_queens", "puzzle24", "countdown"),
    *("polynomial_multiplication", "simple_integration", "intermediate_integration"),
)
"""Generators whose verifier evaluates the answer's text."""


def spec_of(generator: str, **changes: object) -> JobSpec:
    return job_spec(
        environment=EnvironmentSpec(name=f"reasoning_gym:{generator}"),
        rewards=(RewardSpec(name="correct"),),
        sampling=Sampling(max_tokens=131072),
        evaluation=Evaluation(problems=0),
        **changes,
    )


def scorer_of(spec: JobSpec, pool: SandboxPool = SANDBOX, files: dict[str, bytes] = MODEL_FILES) -> SandboxedScorer:
    return SandboxedScorer(pool, spec, lambda: files["tokenizer.json"], lambda: files["config.json"])


def ids_of(text: str) -> list[int]:
    return [*Tokenizer.from_str(tokenizer_json().decode()).encode(text).ids, STOP]


def grade(scorer: SandboxedScorer, texts: Sequence[str]) -> list[Graded]:
    return scorer.grade([(PLACE, ids_of(text)) for text in texts])


def payloads(marker: Path) -> list[str]:
    command = f"touch {marker}"
    return [
        f"__import__('os').system('{command}')",
        f"[__import__('os').system('{command}')]",
        f"(lambda: __import__('os').system('{command}'))()",
        f"[x for x in [__import__('os').system('{command}')]]",
        f"().__class__.__base__.__subclasses__()[0].__init__.__globals__['os'].system('{command}')",
        f"open('{marker}', 'w')",
        f"eval('open(\\'{marker}\\', \\'w\\')')",
        f"exec('import os; os.system(\\'{command}\\')')",
        f"getattr(__builtins__, 'open')('{marker}', 'w')",
        f"sympify(\"__import__('os').system('{command}')\")",
        f"parse_expr(\"open('{marker}', 'w')\")",
        f"S(\"open('{marker}', 'w')\")",
        f"lambdify('x', \"open('{marker}', 'w')\")(1)",
        f"preview('x', output='png', filename='{marker}')",
        "f'{open(1)}'",
        "breakpoint()",
        "exit()",
        "quit(3)",
        "input()",
        "globals().clear()",
        "vars()",
        "[1, 2, 3].append(4)",
        "print('forged')",
    ]


@pytest.mark.parametrize("generator", EVALUATING)
def test_no_text_of_an_answer_runs(generator: str, tmp_path: Path) -> None:
    """Also not where the boundary would hold it anyway: each is as good as an answer that can't be read."""
    spec = spec_of(generator)
    marker = tmp_path / "executed"
    tmp_path.chmod(0o777)
    unreadable = grade(scorer_of(spec), ["?!"])[0].parts["correct"]
    texts = [f"<answer>{payload}</answer>" for payload in payloads(marker)]
    for text, graded in zip(texts, grade(scorer_of(spec), texts), strict=True):
        assert graded.over is None, (text, graded)
        assert graded.parts["correct"] is not None
        assert graded.parts["correct"] <= max(unreadable or 0.0, 0.05), (text, graded)
    assert not marker.exists()


@pytest.fixture(scope="module")
def outside() -> dict[str, tuple[str, float]]:
    """Each generator's reference answer and its mark, computed without guard and boundary, but with the hash seed that
    every sandbox has: the problems of some generators depend on the order of a set."""
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", REFERENCES],
        env=os.environ | {"PYTHONHASHSEED": ENVIRONMENT["PYTHONHASHSEED"], "PYTHONPATH": str(Path.cwd())},
        check=True,
        capture_output=True,
        text=True,
    )
    return {name: tuple(row) for name, row in json.loads(found.stdout.splitlines()[-1]).items()}


REFERENCES = """
import json
from r1net.environments import load_environment
from r1net.scoring import JobScorer
from tests.adversarial.sandbox.test_answers import GENERATORS, MODEL_FILES, PLACE, extract_answer, spec_of

def reference(name):
    spec = spec_of(name)
    problem = JobScorer(spec, MODEL_FILES["tokenizer.json"]).problem(*PLACE)
    answer = "no reference" if problem.answer is None else problem.answer
    return answer, load_environment(spec.environment).verify(problem, extract_answer(f"<answer>{answer}</answer>"))

found = json.dumps({name: reference(name) for name in GENERATORS})
print("\\n" + found)
"""

HOSTILE = [
    *("", " ", "\x00", "\ud7ff", "-", "[[", "{", "'", '"', "null", "NaN", "inf", "1e999", "-1", "0", "1/0", "[]", "{}"),
    *("(" * 5000, "[" * 5000, "9" * 5000, "-" * 5000, "1+" * 5000 + "1", "a" * 60000, "x**" * 500 + "x", "((((" * 100),
    *("\n" * 5000, "1," * 9000, "{" * 300 + "}" * 300, '{"a":' * 900, "<answer>" * 3000, "𝟗" * 500, "١٢٣", "𝓮val(1)"),
]


@pytest.mark.parametrize("generator", GENERATORS)
def test_every_generator_survives_what_is_no_answer(generator: str, outside: dict[str, tuple[str, float]]) -> None:
    """One batch of everything: each gets a mark from 0 to 1, and the honest answer among them its own."""
    honest, expected = outside[generator]
    texts = [*(f"<answer>{text}</answer>" for text in HOSTILE), f"<answer>{honest}</answer>"]
    grades = grade(scorer_of(spec_of(generator)), texts)
    for graded in grades:
        assert graded.reward is not None
        assert 0.0 <= graded.reward <= 1.0
    assert grades[-1].over is None
    assert grades[-1].parts["correct"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("answer", ["9**9**9", "(9**9)**9**9", "2**(2**40)", "factorial(10**9)", "9**9**9 + x"])
@pytest.mark.parametrize("generator", ["countdown", "polynomial_multiplication", "spiral_matrix"])
def test_what_never_ends_scores_nothing_and_the_others_what_they_are_worth(
    generator: str, answer: str, outside: dict[str, tuple[str, float]]
) -> None:
    spec = spec_of(generator)
    honest = outside[generator][0]
    pool = SandboxPool(2, Limits(grade_seconds=0.5))
    try:
        before, hanging, after = grade(
            scorer_of(spec, pool), [f"<answer>{text}</answer>" for text in (honest, answer, honest)]
        )
    finally:
        pool.close()
    assert before == after
    assert before.reward == 1.0
    assert hanging.reward is not None
    assert hanging.reward <= 0.05
    if generator != "spiral_matrix":
        assert hanging.over in ("time", "memory", None)


def test_unclosed_tags_take_time_in_proportion_to_their_number() -> None:
    """160 KB took 27 s."""
    for text in ("<answer>" * 200_000, "<answer>1</answer>" * 100_000, "<answer>" * 100_000 + "</answer>" * 100_000):
        assert len(extract_answer(text)) <= len(text)
    spec = spec_of("chain_sum").model_copy(update={"rewards": (RewardSpec(name="correct"), RewardSpec(name="format"))})
    for text in ("<answer>" * 20_000, "<think>" * 20_000, "<think>" + " " * 160_000, "<think></think>" + " " * 160_000):
        graded = grade(scorer_of(spec), [text])[0]
        assert graded.over is None
        assert not graded.doubtful, text[:20]


def test_last_closed_answer_counts() -> None:
    cases = {
        "plain": "plain",
        "<answer>1</answer>": "1",
        "<answer>1</answer> <answer> 2 </answer>": "2",
        "<answer>1</answer> <answer>2": "1",
        "<answer>a<answer>b</answer>": "a<answer>b",
        "</answer><answer>3</answer></answer>": "3",
        "<answer></answer>": "",
    }
    assert {text: extract_answer(text) for text in cases} == cases


HOSTILE_SETTINGS = [
    ("chain_sum", {"min_terms": 10**9, "max_terms": 10**9}),
    ("chain_sum", {"min_digits": 10**6, "max_digits": 10**6}),
    ("chain_sum", {"size": 10}),
    ("chain_sum", {"seed": 1}),
    ("chain_sum", {"min_terms": "2"}),
    ("chain_sum", {"min_terms": None}),
    ("chain_sum", {"no_such": 1}),
    ("basic_arithmetic", {"operators": ["__import__('os').system('true')"]}),
    ("n_queens", {"n": 10**6}),
    ("sudoku", {"min_empty": 10**9, "max_empty": 10**9}),
    ("spiral_matrix", {"min_n": 30000, "max_n": 30000}),
    ("composite", {"datasets": []}),
    ("composite", {"datasets": [{"name": "composite", "weight": 1, "config": {}}]}),
    ("bf", {"difficulty": 10**9}),
]


@pytest.mark.parametrize(("generator", "settings"), HOSTILE_SETTINGS, ids=lambda value: json.dumps(value)[:40])
def test_settings_that_hang_or_crash_are_the_jobs_own_fault(generator: str, settings: dict[str, object]) -> None:
    environment = EnvironmentSpec(name=f"reasoning_gym:{generator}", config=settings)
    spec = spec_of("chain_sum").model_copy(update={"environment": environment})
    pool = SandboxPool(2, Limits(setup_seconds=1.0, memory_bytes=2**28))
    try:
        with pytest.raises(UsageError):
            scorer_of(spec, pool).load()
        assert grade(scorer_of(spec_of("chain_sum"), pool), ["no"])[0].over is None
    finally:
        pool.close()


def test_too_many_held_out_problems_are_the_jobs_own_fault() -> None:
    few = EnvironmentSpec(name="reasoning_gym:chain_sum", config={"min_terms": 2, "max_terms": 2, "max_digits": 1})
    spec = spec_of("chain_sum").model_copy(update={"environment": few, "evaluation": Evaluation(problems=100_000)})
    pool = SandboxPool(2, Limits(setup_seconds=1.0))
    try:
        with pytest.raises(UsageError, match=r"CPU time|different problems"):
            scorer_of(spec, pool).load()
    finally:
        pool.close()


HOSTILE_FILES = {
    "deep config": ("config.json", b'{"vocab_size": 260, "x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    "unclosed config": ("config.json", b"[" * 500_000),
    "infinite": ("config.json", b'{"vocab_size": Infinity}'),
    "huge float": ("config.json", b'{"vocab_size": 1e400}'),
    "huge number": ("config.json", b'{"vocab_size": ' + b"9" * 5000 + b"}"),
    "negative": ("config.json", b'{"vocab_size": -5}'),
    "true": ("config.json", b'{"vocab_size": true}'),
    "text": ("config.json", b'{"vocab_size": "260"}'),
    "no object": ("config.json", b"[1]"),
    "not text": ("config.json", b"\xff\xfe\x00"),
    "code": ("config.json", b'{"vocab_size": 260, "auto_map": {"AutoModel": "evil.Model"}}'),
    "large": ("config.json", b'{"vocab_size": 260, "x": "' + b"x" * (2 << 20) + b'"}'),
    "empty": ("config.json", b""),
    "deep tokenizer": ("tokenizer.json", b'{"a":' * 200_000),
    "no tokenizer": ("tokenizer.json", b"{}"),
    "tokenizer that is no text": ("tokenizer.json", b"\xff" * 100),
    "empty tokenizer": ("tokenizer.json", b""),
}


@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_files_that_crash_a_reader_are_the_jobs_own_fault(name: str) -> None:
    file, data = HOSTILE_FILES[name]
    with pytest.raises(UsageError):
        scorer_of(spec_of("chain_sum", name=name), SANDBOX, MODEL_FILES | {file: data}).load()
    assert scorer_of(spec_of("chain_sum")).vocabulary == 260


def test_a_sandbox_that_was_killed_is_started_anew() -> None:
    pool = SandboxPool(2)
    try:
        scorer = scorer_of(spec_of("chain_sum"), pool)
        before = grade(scorer, ["<answer>1</answer>"])
        assert pool._zygote is not None
        pool._zygote._process.kill()
        pool._zygote._process.wait()
        assert grade(scorer, ["<answer>1</answer>"]) == before
    finally:
        pool.close()


def test_a_sandbox_that_is_closed_is_an_error_and_no_score() -> None:
    pool = SandboxPool(2)
    pool.start()
    pool.close()
    with pytest.raises(SandboxFailed):
        grade(scorer_of(spec_of("chain_sum"), pool), ["<answer>1</answer>"])
