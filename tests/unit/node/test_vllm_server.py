"""The server's process, its weights and its rule, with real processes but without vLLM."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig

import r1net
import r1node
from r1net.errors import EngineError
from r1net.protocol.job import Sampling
from r1node.rollout.engine import Prompt
from r1node.rollout.noise import Noise
from r1node.rollout.sampler import sample
from r1node.rollout.vllm.engine import VllmEngine
from r1node.rollout.vllm.environment import Environment
from r1node.rollout.vllm.process import INSIDE, ServerProcess, surroundings
from r1node.rollout.vllm.weights import ModelFolder
from tests.unit.node.models import llama
from tests.unit.node.test_vllm_environment import installed

SERVE = "import sys, os, pathlib; pathlib.Path(sys.argv[1]).write_text('4711'); os.read(0, 1)"


def process(folder: Path, code: str, env: Mapping[str, str] = os.environ) -> ServerProcess:
    ready = folder / "port"
    return ServerProcess([sys.executable, "-c", code, str(ready)], env, ready, folder / "log")


def gone(pid: int) -> bool:
    """Whether a process ended, within a few seconds."""
    for _ in range(100):
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


def test_a_server_that_dies_at_the_start_says_why(tmp_path: Path) -> None:
    server = process(tmp_path, "print('loading'); raise SystemExit('no such model')")
    with pytest.raises(EngineError, match=r"did not start: exit code 1: loading \| no such model") as caught:
        server.start()
    assert caught.value.hint == f"see {tmp_path / 'log'}"
    assert not server.alive


def test_a_server_runs_until_it_is_stopped(tmp_path: Path) -> None:
    server = process(tmp_path, SERVE)
    server.start()
    assert (server.port, server.alive) == (4711, True)
    server.stop()
    server.stop()
    assert not server.alive


def test_a_killed_server_says_so(tmp_path: Path) -> None:
    server = process(tmp_path, SERVE)
    server.start()
    os.kill(server.pid, signal.SIGKILL)
    assert gone(server.pid)
    assert not server.alive
    assert "killed by SIGKILL (out of memory?)" in server.reason()
    server.stop()


def test_a_server_ends_when_the_node_is_killed(tmp_path: Path) -> None:
    node = textwrap.dedent(f"""
        import os, signal, sys
        from pathlib import Path
        from r1node.rollout.vllm.process import ServerProcess
        folder = Path({str(tmp_path)!r})
        command = [sys.executable, "-c", {SERVE!r}, str(folder / "port")]
        server = ServerProcess(command, os.environ, folder / "port", folder / "log")
        server.start()
        (folder / "pid").write_text(str(server.pid))
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", node], check=False)
    assert done.returncode == -signal.SIGKILL
    assert gone(int((tmp_path / "pid").read_text()))


def test_an_environment_without_vllm_is_an_error_with_its_words(tmp_path: Path) -> None:
    empty = tmp_path / "vllm"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(empty)], check=True)
    Environment(empty).complete("cpu")
    model = llama()
    engine = VllmEngine(model.config, torch.float32, "cpu", Environment(empty), tmp_path / "engine")
    prompts = [Prompt([3], [1])]
    with pytest.raises(RuntimeError, match="before load"):
        engine.generate(prompts, Sampling(), [])
    for attempt in (lambda: engine.load(model.state_dict()), lambda: engine.generate(prompts, Sampling(), [])):
        with pytest.raises(EngineError, match="No module named 'vllm'"):
            attempt()
    place = (tmp_path / "engine" / "model").resolve()
    assert place.is_dir()
    engine.close()
    assert not place.exists()


def test_the_server_does_not_see_the_nodes_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    env = surroundings(installed(tmp_path / "vllm"), 3, "cpu")
    assert env["PYTHONPATH"] == str(INSIDE)
    assert env["OMP_NUM_THREADS"] == "3"
    assert env["HF_HUB_OFFLINE"] == env["VLLM_NO_USAGE_STATS"] == "1"
    assert surroundings(Environment(tmp_path / "vllm"), 3, "cpu")["R1_VLLM_KEY"] != env["R1_VLLM_KEY"]
    assert surroundings(Environment(tmp_path / "vllm"), 3, "cuda:2")["CUDA_VISIBLE_DEVICES"] == "2"


def test_what_is_compiled_for_other_instructions_is_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM aborts in malloc when it loads what was compiled on the same machine under AVX2."""
    names = ("VLLM_CACHE_ROOT", "TORCHINDUCTOR_CACHE_DIR")
    here = Environment(tmp_path / "vllm")
    seen = set()
    for told in ("", "default", "avx2"):
        monkeypatch.setenv("ATEN_CPU_CAPABILITY", told)
        env = surroundings(here, 1, "cpu")
        assert all(Path(env[name]).is_relative_to(here.folder) for name in names)
        seen |= {env[name] for name in names}
    assert len(seen) == 6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_are_rewritten_in_place(tmp_path: Path, dtype: torch.dtype) -> None:
    first, second = llama(seed=1), llama(seed=2)
    folder = ModelFolder(first.config, dtype, tmp_path / "model")
    inodes = set()
    for model in (first, second, first):
        folder.write(model.state_dict())
        held = load_file(folder.path / "model.safetensors")
        assert set(held) == set(model.state_dict())
        assert all(torch.equal(held[name], tensor.to(dtype)) for name, tensor in model.state_dict().items())
        inodes.add((folder.path / "model.safetensors").stat().st_ino)
    assert len(inodes) == 1
    assert AutoConfig.from_pretrained(folder.path).hidden_size == first.config.hidden_size
    assert folder.path.resolve().stat().st_mode & 0o077 == 0
    folder.write({"other": torch.ones(3)})
    assert load_file(folder.path / "model.safetensors")["other"].tolist() == [1, 1, 1]
    place = folder.path.resolve()
    folder.remove()
    assert not place.exists()
    assert not folder.path.is_symlink()


RULE = """
import json, sys, torch
from r1vllm.rule import Sampling, load_rule
rule = load_rule()
stream, logits = rule.stream(7, 300), torch.linspace(-2, 2, 300)[None]
noise = torch.from_numpy(stream.at(5))[None]
print(json.dumps([int(rule.sample(logits, noise, Sampling(*one))[0]) for one in json.loads(sys.argv[1])]))
"""


def test_the_servers_rule_is_the_nodes() -> None:
    """In a process of its own, with nothing of the node's packages but the two files that state the rule."""
    samplings = [(0.0, 1.0, 0), (1.0, 1.0, 0), (0.7, 0.8, 0), (1.0, 1.0, 20)]
    packages = {module.__name__: str(Path(module.__path__[0])) for module in (r1net, r1node)}
    environment = os.environ | {"PYTHONPATH": str(INSIDE), "R1_PACKAGES": json.dumps(packages)}
    said = subprocess.run(
        [sys.executable, "-c", RULE, json.dumps(samplings)], env=environment, capture_output=True, text=True, check=True
    )
    noise = Noise([7], 300).at(torch.tensor([0]), 5)
    logits = torch.linspace(-2, 2, 300)[None]
    assert json.loads(said.stdout) == [
        int(sample(logits, noise, Sampling(temperature=t, top_p=p, top_k=k))[0]) for t, p, k in samplings
    ]
