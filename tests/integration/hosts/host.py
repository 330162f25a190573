"""A host that types `r1node …` with no coordinator in reach: its deployment file and its endpoint are enough."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from eth_account.signers.local import LocalAccount
from typer.testing import CliRunner

from r1net.chain import Chain, create_keystore
from r1node.cli.main import app
from r1node.settings import resolve
from tests.integration.chain.conftest import COIN, Anvil

NOWHERE = "http://127.0.0.1:9"
PASSWORD = "correct horse"
STAKE = 1_000 * COIN


class Host:
    """A data folder with a wallet that holds `r1` wei and coin for gas, and the key of one worker."""

    def __init__(self, folder: Path, anvil: Anvil, rich: Chain, r1: int = 1_200 * COIN) -> None:
        self.folder, self.anvil = folder, anvil
        self.owner: LocalAccount = create_keystore(folder / "wallet.json", PASSWORD, iterations=2)
        self.worker_folder = folder / "workers" / "0"
        self.worker: LocalAccount = create_keystore(self.worker_folder / "key.json", PASSWORD, iterations=2)
        self.password_file = folder / "password"
        self.password_file.write_text(f"{PASSWORD}\n")
        self.password_file.chmod(0o600)
        rich.deployment.save(folder / "deployment.json")
        anvil.fund(self.owner.address)
        rich.token.transfer(self.owner.address, r1)
        self.chain = Chain.connect(anvil.url, rich.deployment, self.owner)
        self.settings = resolve({"data_dir": folder, "coordinator": NOWHERE, "rpc_url": anvil.url}).settings

    @property
    def options(self) -> list[str]:
        """What stands before every command."""
        return [
            *("--coordinator", NOWHERE, "--rpc-url", self.anvil.url, "--data-dir", str(self.folder)),
            *("--deployment", str(self.folder / "deployment.json"), "--password-file", str(self.password_file)),
        ]

    def command(self, *arguments: str) -> list[str]:
        """The same as a process of its own."""
        return [str(Path(sys.executable).with_name("r1node")), *arguments, *self.options]

    def ask(self, *arguments: str, code: int = 0) -> Any:
        """What a program is answered. Raises what the command raises."""
        done = CliRunner().invoke(app, ["--json", *self.options, *arguments], catch_exceptions=False)
        assert done.exit_code == code, done.output
        return json.loads(done.stdout)

    def read(self, *arguments: str) -> str:
        """What a person reads."""
        return CliRunner().invoke(app, [*self.options, *arguments], catch_exceptions=False).stdout
