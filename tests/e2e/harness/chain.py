"""Anvil and the compiled contracts."""

from __future__ import annotations

import platform
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.harness.making import alone
from tests.e2e.harness.processes import Process, free_port, wait_until

ROOT = Path(__file__).resolve().parents[3]
COIN = 10**18


def native_binary(tool: str) -> Path:
    """The npm package's own binary: its shim swallows exit codes."""
    machine = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]
    folder = f"{tool}-{platform.system().lower()}-{machine}"
    path = ROOT / "contracts" / "node_modules" / "@foundry-rs" / folder / "bin" / tool
    if not path.exists():
        raise RuntimeError(f"{path} is missing; run `make setup`")
    return path


def compile_contracts() -> None:
    """Run forge build. Raises RuntimeError with its output."""
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    with alone(build / ".contracts.lock"):
        done = subprocess.run([ROOT / "contracts/tools/forge", "build"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"forge build failed:\n{done.stdout}\n{done.stderr}")


class Anvil:
    """A local chain. Its state survives `process.kill()` only in `state_file`."""

    def __init__(self, logs: Path, state_file: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [
            str(native_binary("anvil")),
            *("--hardfork", "cancun", "--port", str(self.port), "--silent"),
            *("--block-time", "1", "--mixed-mining"),  # time passes on this chain also when nobody sends anything
            *("--state", str(state_file), "--state-interval", "1"),
        ]
        self.process = Process("anvil", command, logs / "anvil.log")

    def wait(self) -> None:
        """Until it answers."""
        wait_until(self._listens, "anvil's start", 30, self.process)

    def fund(self, address: str) -> None:
        """Give an account 100 of the chain's coin for gas."""
        self.rpc("anvil_setBalance", address, hex(100 * COIN))

    def rpc(self, method: str, *parameters: Any) -> Any:
        """One JSON-RPC call."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
        answer = httpx.post(self.url, json=body, timeout=30).json()
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
