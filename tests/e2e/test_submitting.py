"""What a submitter types, with rows of the own: a job file from the estimate to the model, against a real network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from r1net import R1, Client
from r1net.environments import load_environment
from r1net.jobs.file import read_job_file
from r1net.local_files import LocalFiles
from r1net.protocol.canonical import sha256
from r1net.protocol.job import ModelRef
from r1net.protocol.problems import EnvironmentSpec
from tests.e2e.demo import tiny
from tests.e2e.harness.chain import ROOT
from tests.e2e.harness.network import Network, submitter_variables

pytestmark = pytest.mark.timeout(300)

PAGE = (ROOT / "docs" / "your-data.md").read_text()


def block(kind: str, name: str) -> str:
    """A file that the page shows, by the comment in its first line."""
    return next(text for text in re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL) if text.startswith(f"# {name}\n"))


@pytest.fixture
def folder(tmp_path: Path, model: Path) -> Path:
    """A job file, its rows and its model, as somebody would have them side by side."""
    environment = load_environment(EnvironmentSpec(name=tiny.ENVIRONMENT, config=tiny.CONFIG))
    problems = [environment.problem(seed) for seed in range(150)]
    rows = [
        {"question": problem.question, "answer": problem.answer, "terms": 2, "level": number % 3 + 1}
        for number, problem in enumerate(problems)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "job.toml").write_text(block("toml", "job.toml"))
    (tmp_path / "reward.py").write_text(block("python", "reward.py"))
    (tmp_path / "model").symlink_to(model)
    return tmp_path


def r1net(network: Network, folder: Path, *arguments: str) -> tuple[int, Any, str]:
    """Run a command with --json; its exit code, what it printed, and what it said."""
    env = {**os.environ, **submitter_variables(network), "R1_CACHE_DIR": str(folder / "cache")}
    command = [str(Path(sys.executable).parent / "r1net"), *arguments, "--json"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=240)
    return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None, done.stderr


def test_a_job_file_from_the_estimate_to_the_model(network: Network, client: Client, folder: Path) -> None:
    code, estimate, said = r1net(network, folder, "estimate", "job.toml", "--sample", "8")
    assert code == 0, said
    assert "sampled" in said
    assert estimate["signal"]["groups"] == 8
    assert 0 < estimate["likely_tokens"] <= estimate["most_tokens"]
    assert int(estimate["likely_cost"]) <= int(estimate["most_cost"]) <= 5 * R1
    assert estimate["data"]["rows"][0].endswith("12 held out")
    assert estimate["hosts"] == 2
    assert client.runs() == client.runs()[:0] or all(run.view().spec.name != "own sums" for run in client.runs())
    code, submitted, said = r1net(network, folder, "submit", "job.toml", "--set", "seed=3")
    assert code == 0, said
    job = submitted["job"]
    code, over, said = r1net(network, folder, "watch", job)
    assert (code, over["state"]) == (0, "completed"), said
    rounds = [json.loads(line) for line in said.splitlines() if json.loads(line)["event"] == "round"]
    assert len(rounds) == 2
    spec = client.run(job).view().spec
    assert (spec.environment.name, spec.seed, spec.evaluation.problems) == ("rows:rows", 3, 12)
    questions = {json.loads(line)["question"] for line in (folder / "rows.jsonl").read_text().splitlines()}
    traces = list(client.run(job).traces())
    assert {trace.question for trace in traces} <= questions
    assert {frozenset(trace.trace.reward_parts) for trace in traces} == {frozenset({"correct", "nearness"})}
    assert all(0 <= (trace.trace.reward_parts["nearness"] or 0) <= 1 for trace in traces)
    client.run(job).wait_settled()
    code, checks, said = r1net(network, folder, "verify", job, "--traces", "3")
    assert (code, [check["stands"] for check in checks]) == (0, [True] * 3), said
    code, made, said = r1net(network, folder, "download", job, "out")
    assert code == 0, said
    assert {"model.safetensors", "traces.parquet", "metrics.jsonl"} <= set(made["files"])
    assert job in {line["job"] for line in r1net(network, folder, "jobs", "--mine")[1]}


def test_the_doctor_finds_all_in_order(network: Network, client: Client, folder: Path) -> None:
    assert client.address
    code, report, said = r1net(network, folder, "doctor", "--model", "model")
    found = {finding["check"]: finding for finding in report["findings"]}
    assert (code, [one for one in found.values() if one["verdict"] == "failure"]) == (0, []), said
    assert list(found) == ["wallet", "unfinished", "coordinator", "network", "chain", "funds", "hosts", "model"]
    assert found["hosts"]["detail"].startswith("2 active, of 2 owners")
    assert found["funds"]["detail"].endswith(" R1, and coin for gas")
    assert found["model"]["detail"].startswith("model: Llama")


def test_a_job_that_was_funded_and_never_announced_is_found_on_chain(
    network: Network, client: Client, folder: Path
) -> None:
    """The machine stopped before it heard which job it had paid for."""
    client.files = LocalFiles(folder / "cache" / "files")
    job = read_job_file(folder / "job.toml", ["seed=11"])
    composed = client.compose(**job)
    submission = client._submission
    submission.pending.keep(submission._draft(composed.spec, composed.folder).model_copy(update={"block": 0}))
    spec = composed.spec
    job_id = client.chain.escrow.create_job(spec.payment_token, spec.budget, spec.budget, spec.digest())
    code, submitted, said = r1net(network, folder, "submit", "job.toml", "--set", "seed=11")
    assert (code, submitted["job"]) == (0, job_id), said
    assert "was funded before: going on with it" in said
    run = client.run(job_id)
    assert run.watch().state == "completed"
    assert 0 < run.cost().spent <= run.cost().budget == spec.budget
    code, _, said = r1net(network, folder, "announce", job_id)
    assert (code, "nothing on this machine waits" in said) == (2, True)


def test_an_own_tool_answers_and_the_model_goes_on(network: Network, client: Client, folder: Path) -> None:
    (folder / "hints.py").write_text(block("python", "hints.py"))
    changes = ["tool=hints.py", "turns=2", "reward=correct", "sampling.max_tokens=12", "seed=5"]
    code, submitted, said = r1net(network, folder, "submit", "job.toml", *(f"--set={change}" for change in changes))
    assert code == 0, said
    run = client.run(submitted["job"])
    assert [step.round for step in run.follow()] == [0, 1]
    assert run.view().state == "completed"
    traces = [view.trace for view in run.traces()]
    several = [trace for trace in traces if trace.given]
    assert 0 < len(several) < len(traces), "some are right at once, or say no number"
    assert all(len(trace.given) == 1 for trace in several)
    assert {trace.completion_ids[slice(*trace.given[0])] for trace in several} <= hints(run.view().spec.model, folder)


def hints(model: ModelRef, folder: Path) -> set[tuple[int, ...]]:
    """The two answers of the tool, as the model's tokenizer makes them, on lines of their own."""
    data = (folder / "model" / "tokenizer.json").read_bytes()
    assert model.files["tokenizer.json"].sha256 == sha256(data)
    return {tuple(Tokenizer.from_str(data.decode()).encode(f"\n{sign}\n").ids) for sign in "+-"}


def test_the_signal_may_be_bought_from_the_network(network: Network, client: Client, folder: Path) -> None:
    """The same groups with the same seeds: hosts find what this machine finds."""
    code, here, said = r1net(network, folder, "estimate", "job.toml", "--sample", "4")
    assert code == 0, said
    code, bought, said = r1net(network, folder, "estimate", "job.toml", "--sample", "4", "--buy")
    assert code == 0, said
    (job,) = re.findall(r"the sample is job (0x[0-9a-f]+)", said)
    view = client.run(job).view()
    assert (view.spec.name, view.state, view.traces_accepted) == ("sample of own sums", "completed", 16)
    same = ("groups", "completions", "pass_rate", "unsolved", "solved", "reward", "spread", "mean_length", "truncated")
    assert {name: bought["signal"][name] for name in same} == {name: here["signal"][name] for name in same}
    assert client.chain.escrow.job(job).funded < 5 * R1


def test_a_column_of_levels_is_a_curriculum(network: Network, client: Client, folder: Path) -> None:
    levels = ("--set", "rounds=3", "--set", "name=levels")
    (folder / "job.toml").write_text(block("toml", "levels") + block("toml", "job.toml"))
    code, _, said = r1net(network, folder, "estimate", "job.toml", "--sample", "4", *levels)
    assert code == 0, said
    code, submitted, said = r1net(network, folder, "submit", "job.toml", *levels)
    assert code == 0, said
    job = submitted["job"]
    code, over, said = r1net(network, folder, "watch", job)
    assert (code, over["state"]) == (0, "completed"), said
    mixes = [json.loads(line)["detail"] for line in said.splitlines() if json.loads(line)["event"] == "mix"]
    assert mixes[0].startswith("rows/1 3"), mixes
    run = client.run(job)
    report = run.mix()
    assert report.first_wrong is None
    assert report.parts == ("rows:rows/1", "rows:rows/2", "rows:rows/3")
    assert [one.published for one in report.rounds] == [record.mix for record in run.follow()]
    assert sum(share.groups for share in report.rounds[2].shares) == 8
    code, _, said = r1net(network, folder, "verify", job, "--traces", "1")
    assert (code, "all 3 rounds follow from the admitted rewards" in said) == (0, True), said


def test_a_job_that_is_stopped_settles_what_was_done(network: Network, client: Client, folder: Path) -> None:
    code, submitted, said = r1net(network, folder, "submit", "job.toml", "--set", "rounds=500")
    assert code == 0, said
    job = submitted["job"]
    next(iter(client.run(job).follow()))
    code, stopped, said = r1net(network, folder, "stop", job)
    assert (code, stopped["refundable_after"] > 0) == (0, True), said
    code, _, said = r1net(network, folder, "watch", job)
    assert (code, "cancelled" in said) == (1, True)
    view = client.run(job).view()
    assert (view.state, view.error) == ("cancelled", "its submitter has closed its escrow")
    client.run(job).wait_settled()
    code, early, said = r1net(network, folder, "refund", job)
    assert (code, early["returned"], f"after that date: r1net refund {job}" == early["next_step"]) == (0, 0, True), said
    assert early["due"] > network.chain.now()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("rounds=0", "rounds"),
        ("dataset.source=nothing.jsonl", "no data set at"),
        ("curriculum=terms", "no two rows differ in 'terms'"),
        ("dataset.heldout=1000", "can't be held out"),
        ("budget=lots", "budget"),
        ("reward=elegance", "unknown reward 'elegance'"),
        ("reward.1.file=nowhere.py", "there is no file"),
    ],
)
def test_a_bad_job_file_costs_nothing(change: str, words: str, network: Network, client: Client, folder: Path) -> None:
    before = len(client.runs())
    code, _, said = r1net(network, folder, "submit", "job.toml", "--set", change)
    problem = json.loads(said.strip().splitlines()[-1])
    assert (code, words in problem["message"]) == (2, True), problem
    assert len(client.runs()) == before


def test_an_amount_that_is_none_is_refused(network: Network, client: Client, folder: Path) -> None:
    assert r1net(network, folder, "top-up", "0x" + "00" * 32, "a lot")[0] == 2
