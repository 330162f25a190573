"""A submitter's whole way: from `pip install` and own rows to a verified, loaded model and a refund."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from eth_account import Account
from transformers import AutoModelForCausalLM

from r1net import R1
from r1net.chain.keystore import keystore_address
from r1net.environments import load_environment
from r1net.protocol.problems import EnvironmentSpec
from tests.e2e.demo import tiny
from tests.e2e.harness.network import Network
from tests.e2e.journeys.newcomer import Newcomer
from tests.e2e.test_submitting import block

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

DAY = 86_400
SCRIPT = """
import r1net

client = r1net.connect()
run = client.train(
    model="model", dataset="rows.jsonl", reward="correct", prompt="{question}\\n", rounds=2, budget="1 R1"
)
run.watch()
run.wait_settled()
run.download("out of python")
print(run, run.cost(), run.verify(next(run.traces())).name)
"""


def test_from_own_rows_to_a_loaded_model_and_a_refund(
    network: Network, model: Path, newcomer: Callable[[str, str], Newcomer]
) -> None:
    person = newcomer("submitter", "")
    assert "Commands:" in person.says("r1net", "--help")
    person.give("my password", "correct horse battery staple\n")
    key = Account.create()
    person.give("key.json", json.dumps(Account.encrypt(key.key, "correct horse battery staple", iterations=2**12)))
    person.environment |= {
        "R1_COORDINATOR": network.url,
        "R1_KEY_FILE": "key.json",
        "R1_PASSWORD_FILE": "my password",
    }
    assert keystore_address(person.home / "key.json") == key.address
    said = person.says("r1net", "doctor", code=3)
    assert key.address in said
    network.anvil.fund(key.address)
    network.chain.token.transfer(key.address, 20 * R1)
    person.give("model", model)
    person.says("r1net", "doctor", "--model", "model")

    environment = load_environment(EnvironmentSpec(name=tiny.ENVIRONMENT, config=tiny.CONFIG))
    problems = [environment.problem(seed) for seed in range(150)]
    rows = [
        {"question": problem.question, "answer": problem.answer, "terms": 2, "level": number % 3 + 1}
        for number, problem in enumerate(problems)
    ]
    person.give("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    person.give("job.toml", block("toml", "job.toml"))
    person.give("reward.py", block("python", "reward.py"))
    said = person.says("r1net", "submit", "job.toml", "--set", "reward=corect", code=2)
    assert "correct" in said, "a typo costs nothing, and the right word is named"
    assert network.chain.token.balance(key.address) == 20 * R1
    assert "R1" in person.says("r1net", "estimate", "job.toml", "--sample", "0")
    person.says("r1net", "submit", "job.toml")
    (row,) = person.answers("r1net", "jobs", "--mine")
    job = str(row["job"])
    assert "completed" in person.says("r1net", "watch", job)
    person.says("r1net", "verify", job, "--traces", "3")
    person.says("r1net", "download", job, "out")
    loaded = AutoModelForCausalLM.from_pretrained(person.home / "out")
    assert sum(weights.numel() for weights in loaded.parameters()) > 1_000_000

    said = person.says("r1net", "refund", job)
    assert f"r1net refund {job}" in said, "too early, and it says from when on"
    paid = 20 * R1 - network.chain.token.balance(key.address)
    network.anvil.rpc("evm_increaseTime", 3 * DAY)
    network.anvil.rpc("evm_mine")
    assert "R1" in person.says("r1net", "refund", job)
    kept = 20 * R1 - network.chain.token.balance(key.address)
    assert 0 < kept < paid, "what was worked is paid, the rest comes back"

    person.give("ten_lines.py", SCRIPT)
    said = person.types("python ten_lines.py", [str(person.bin / "python"), "ten_lines.py"]).said
    assert "FINALISED" in said
    assert (person.home / "out of python" / "model.safetensors").is_file()
    shutil.rmtree(person.home / "out of python")
