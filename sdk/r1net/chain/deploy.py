"""Deploys a network's contracts, or completes and checks a deployment that is there already.

    python -m r1net.chain.deploy --rpc http://127.0.0.1:8545 --key-file owner.json --out deployment.json \\
        --settler 0x… --guardian 0x… --treasury 0x…

Repeating it changes nothing: what the file names and the chain runs is kept and verified (code, links,
roles, parameters), what
is missing is deployed. The file is written after every contract, so that a crash loses none.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from eth_account.signers.local import LocalAccount

from r1net.chain.client import open_sender
from r1net.chain.deployer import Deployer
from r1net.chain.deployment import Deployment
from r1net.chain.keystore import load_keystore
from r1net.chain.parameters import Parameters
from r1net.cli.edge import told
from r1net.errors import ChainError

__all__ = ["Accounts", "Parameters", "deploy", "main"]


@dataclass(frozen=True)
class Accounts:
    """`settlers` may propose epochs and are given a stake, `guardian` may pause settlement, `treasury` gets the rest of
    the R1. They must be different accounts, unless `one_key` says that this is a trial: then whoever is not named is
    the deploying account."""

    settlers: tuple[str, ...] = ()
    guardian: str | None = None
    treasury: str | None = None
    one_key: bool = False

    def completed(self, deployer: str) -> Accounts:
        """With everybody named. Raises ChainError where one stolen key could propose epochs, stop settlement, and
        vote."""
        if self.one_key:
            return replace(
                self,
                settlers=self.settlers or (deployer,),
                guardian=self.guardian or deployer,
                treasury=self.treasury or deployer,
            )
        if not self.settlers or self.guardian is None or self.treasury is None:
            raise ChainError(
                "a network has a settler, a guardian and a treasury, and they are different keys",
                hint="name all three (--settler, --guardian, --treasury), or pass --one-key for a trial",
            )
        named = [*self.settlers, self.guardian, self.treasury]
        if len({name.lower() for name in named}) < len(named):
            raise ChainError(
                "one account is named as two of settler, guardian and treasury",
                hint="use a key of its own for each, or pass --one-key for a trial",
            )
        return self


def deploy(
    rpc_url: str,
    account: LocalAccount,
    path: Path,
    *,
    artifacts: Path = Path("contracts/out"),
    parameters: Parameters | None = None,
    accounts: Accounts | None = None,
    handover: bool = True,
) -> Deployment:
    """Deploy or complete a network and write its deployment file to `path`.

    With `handover` the deploying account gives the admin role of every contract to the timelock and keeps none.
    """
    named = (accounts or Accounts()).completed(account.address)
    deployer = Deployer(open_sender(rpc_url, account), parameters or Parameters(), artifacts, path)
    return deployer.run(named.settlers, named.guardian or "", named.treasury or "", handover=handover)


def main() -> None:
    """Command line; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m r1net.chain.deploy", description="Deploy the contracts.")
    parser.add_argument("--rpc", required=True, help="RPC URL of the chain")
    parser.add_argument("--key-file", required=True, type=Path, help="keystore of the deploying account")
    parser.add_argument("--out", required=True, type=Path, help="deployment file, read and written")
    parser.add_argument("--artifacts", type=Path, default=Path("contracts/out"), help="forge's output folder")
    parser.add_argument("--settler", action="append", default=[], help="address that may propose epochs (repeatable)")
    parser.add_argument("--guardian", help="address that may pause settlement")
    parser.add_argument("--treasury", help="address that gets all R1 that is not staked for settlers")
    parser.add_argument("--one-key", action="store_true", help="a trial: the deploying account is whoever is not named")
    parser.add_argument("--keep-admin", action="store_true", help="do not hand the admin role to the timelock yet")
    for name, value in asdict(Parameters()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value, help=f"default {value}")
    given = parser.parse_args()
    parameters = Parameters(**{name: getattr(given, name) for name in asdict(Parameters())})
    with told(as_json=False):
        password = os.environ.get("R1_PASSWORD") or getpass.getpass(f"password of {given.key_file}: ")
        account = load_keystore(given.key_file, password)
        found = deploy(
            given.rpc,
            account,
            given.out,
            artifacts=given.artifacts,
            parameters=parameters,
            accounts=Accounts(tuple(given.settler), given.guardian, given.treasury, given.one_key),
            handover=not given.keep_admin,
        )
    print(found.model_dump_json(indent=2))
    print(f"network digest, for hosts and submitters to compare with: {found.digest()}", file=sys.stderr)


if __name__ == "__main__":
    main()
