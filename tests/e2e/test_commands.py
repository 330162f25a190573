"""What a host and a submitter type, against a real network."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import r1net
from r1net import R1, Client
from r1net.deterrence import CHEATS
from tests.e2e.demo import tiny
from tests.e2e.harness.chain import ROOT
from tests.e2e.harness.network import Network, submitter_variables
from tests.e2e.harness.processes import Process, at_a_terminal, wait_until

pytestmark = pytest.mark.timeout(300)


def test_the_readme_script_runs_as_it_stands(network: Network, client: Client, model: Path, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    reward, script = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[:2]
    assert len(script.strip().splitlines()) <= 12
    (tmp_path / "model").symlink_to(model)
    (tmp_path / "reward.py").write_text(reward)
    (tmp_path / "rows.jsonl").write_text(re.findall(r"```json\n(.*?)```", readme, re.DOTALL)[0])
    assert client.transport.has_blob("0x" + "00" * 32) is False
    env = {**os.environ, **submitter_variables(network)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "first trace on chain: FINALISED" in done.stdout
    assert [line.split()[0] for line in done.stdout.splitlines()[:3]] == ["0", "1", "2"]
    assert (tmp_path / "out" / "traces.parquet").stat().st_size > 0


def test_a_host_earns_claims_and_audits(network: Network, client: Client, model: Path) -> None:
    run = client.train(
        model=model,
        environment=tiny.ENVIRONMENT,
        environment_config=tiny.CONFIG,
        prompt=tiny.PROMPT,
        rounds=2,
        sampling=r1net.Sampling(max_tokens=6),
        evaluation=r1net.Evaluation(problems=8),
        budget=10 * R1,
    )
    epoch = (run.wait(), run.wait_settled())[1]
    earned = ask(network, "node1", "rewards", "--rows")
    (total,) = earned["by_token"]
    assert total["token"] == "R1"
    assert sum(int(row["amount"]) for row in earned["rows"]) == int(total["earned"]) == int(total["claimable"]) > 0
    assert (earned["pending_lines"], total["pending"], total["claimed"]) == ([], 0, 0)
    for part in ("by_day", "by_job"):
        assert sum(int(row["earned"]) for row in earned[part]) == int(total["earned"])
    coin = network.chain.coin_balance(earned["account"])
    (claim,) = ask(network, "node1", "claim")
    assert claim["paid"] == total["claimable"]
    assert coin - network.chain.coin_balance(earned["account"]) == int(claim["gas"]) <= int(earned["gas_to_claim"])
    assert claim["lines"] == earned["claimable_lines"]
    assert claim["lines"] == len({(row["job"], row["epoch"]) for row in earned["rows"] if row["epoch"]})
    assert ask(network, "node1", "claim") == []
    (after,) = ask(network, "node1", "rewards")["by_token"]
    assert (after["claimed"], after["claimable"]) == (total["earned"], 0)
    wallet = ask(network, "node1", "wallet")
    assert int(wallet["r1_balance"]) == int(claim["paid"])
    table = ask(network, "node1", "odds", run.job_id)
    assert int(table["at_risk"]) == network.chain.at_risk() > 0
    found = {lie["cheat"]: lie for lie in table["lies"]}
    assert len(found) == len(CHEATS)
    assert all(lie["pays"] == (lie["caught_if_drawn"] == 0) for lie in found.values())
    findings = ask(network, "node1", "audit", str(epoch))["findings"]
    assert len(findings) >= 8
    assert {finding["job"] for finding in findings} == {run.job_id}
    assert all(finding["holds"] for finding in findings)


def test_status_and_doctor(network: Network, client: Client) -> None:
    shown = ask(network, "node1", "status")
    assert next(iter(shown)) == "court", "what needs the host comes first"
    assert (shown["court"], shown["disputes"]) == ("not accused of anything", [])
    assert [(row["worker"], row["process"], row["state"]) for row in shown["workers"]] == [("0", True, "active")]
    assert all(int(job["tokens"]) > 0 and int(job["price"]) > 0 for job in shown["jobs"])
    findings = {row["check"]: row for row in ask(network, "node1", "doctor")["findings"]}
    assert {name for name, row in findings.items() if row["verdict"] == "failure"} == set()
    assert findings["stake"]["detail"].startswith("active with")


def test_a_host_leaves_and_its_worker_with_it(network: Network, client: Client) -> None:
    network.found_node("node3")
    join = network.r1node("node3", "join", "--threads", "1", "--device", "cpu")
    said = at_a_terminal("n", join)
    assert all(words in said for words in ("100 R1 of 0x", "r1node leave", "Stake 100 R1? [y/N]", "nothing was staked"))
    worker = network.supervisor.add(Process("node3", join, network.logs / "node3.log"))
    wait_until(lambda: "joined" in worker.log.read_text(), "node3's start", 120, worker)
    left = ask(network, "node3", "leave")
    assert worker.popen is not None
    assert worker.popen.wait(10) == 0, worker.tail()
    assert (left["state"], int(left["stake"])) == ("leaving", 100 * R1)
    assert left["withdrawable_from"] > network.chain.now()
    done = subprocess.run(network.r1node("node3", "join"), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 3
    assert "r1node leave --cancel" in done.stderr


def test_the_same_worker_twice_is_refused(network: Network, client: Client) -> None:
    done = subprocess.run(
        network.r1node("node1", "join", "--json"), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 3
    problem = json.loads(done.stderr.strip().splitlines()[-1])
    assert problem["code"] == "preflight"
    assert "running already" in problem["message"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["bogus"], 2),
        (["--worker", "a b", "status"], 2),
        (["--data-dir", "/nonexistent", "wallet"], 4),
        (["--coordinator", "http://127.0.0.1:9", "audit", "1"], 1),
        (["--help"], 0),
    ],
)
def test_exit_codes(network: Network, arguments: list[str], code: int) -> None:
    command = [str(Path(sys.executable).parent / "r1node"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


def test_keys_never_lie_open(network: Network, client: Client) -> None:
    """Every key file is encrypted and private, and no log holds a key or the password."""
    password = network.password_file.read_text()
    for path in network.folder.rglob("*.json"):
        if path.name in ("key.json", "wallet.json"):
            assert path.stat().st_mode & 0o077 == 0
            assert "ciphertext" in path.read_text()
    for log in network.logs.glob("*.log"):
        assert password not in log.read_text()
    assert list(Path("/dev/shm").glob("r1node-*")) == []


def test_async_client(network: Network, client: Client) -> None:
    async def look() -> list[str]:
        runs = await r1net.AsyncClient(network.url).runs()
        return [(await run.view()).state for run in runs]

    states = asyncio.run(look())
    assert states
    assert states == [run.view().state for run in client.runs()]


def ask(network: Network, name: str, *arguments: str) -> Any:
    return network.ask_node(name, *arguments)
