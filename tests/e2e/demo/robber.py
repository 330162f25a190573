"""A settler that robs: of a job that was settled it settles what is left once more, in an epoch of its own which pays
itself, and it has that paid as soon as the window is over, unless somebody objects.

    python -m tests.e2e.demo.robber --coordinator URL --data-dir DIR --password-file FILE --job ID
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

from r1net.chain import Chain, JobSettlement, LineStatus, Reverted, load_keystore
from r1net.protocol.settlement import Reward, rewards_root
from r1node.network import connect_chain, network_info
from r1node.settings import Settings

PAUSE = 1.0
"""Seconds between two tries to have the epoch paid."""


def rob(chain: Chain, account: str, job_id: str) -> int:
    """Propose an epoch whose only line says what the newest honest one of the job does, and pays everything that the
    escrow gives to `account`; returns its number."""
    left = chain.escrow.job(job_id)
    amount = min(left.available, left.allowance)
    mine = rewards_root([Reward(account=account, amount=amount)])
    number = chain.settlement.next_epoch()
    chain.settlement.propose(number, [replace(newest_line(chain, job_id), amount=amount, rewards_root=mine)])
    print(f"epoch {number} pays {amount} wei of job {job_id} to {account}", flush=True)
    return number


def newest_line(chain: Chain, job_id: str) -> JobSettlement:
    """The job's part of the newest epoch that has one."""
    found = ((one, one.line(job_id)) for one in reversed(chain.settlement.contents(chain.settlement.next_epoch() - 1)))
    return next(content.jobs[line] for content, line in found if line is not None)


def collect(chain: Chain, number: int) -> None:
    """Have the epoch paid, and try again until its line has fallen."""
    while (status := chain.settlement.status(number, 0)) is LineStatus.PENDING:
        try:
            chain.settlement.finalise(number)
        except Reverted as refusal:
            print(f"not paid: {refusal.name}", flush=True)
        time.sleep(PAUSE)
    print(f"the line is {status.name.lower()}", flush=True)


def main() -> None:
    """Keys as `r1node init` made them."""
    parser = argparse.ArgumentParser()
    for name in ("--coordinator", "--data-dir", "--password-file", "--job"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()
    settings = Settings(
        coordinator=options.coordinator, data_dir=Path(options.data_dir), password_file=Path(options.password_file)
    )
    owner = load_keystore(settings.owner_keystore, Path(options.password_file).read_text().splitlines()[0])
    chain = connect_chain(settings, network_info(settings), owner)
    collect(chain, rob(chain, owner.address, options.job))


if __name__ == "__main__":
    main()
