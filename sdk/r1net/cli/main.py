"""`r1net`: fund, follow and verify jobs.

Exit codes: 0 ok, 1 failure, 2 usage, 3 preflight, 4 keys, 5 chain, 70 a bug. Data goes to stdout, words to
stderr.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from r1net.cli.commands import Commands
from r1net.cli.context import Context
from r1net.cli.program import Version, application, run

COMMANDS: Commands = {
    "r1net.cli.submit": {
        "estimate": "What a job would come to: price, time, and whether the model will learn.",
        "submit": "Fund and announce a job.",
        "announce": "Go on with a job that is funded, where announcing it was interrupted.",
    },
    "r1net.cli.runs": {
        "jobs": "Jobs of the network, the oldest first.",
        "watch": "Follow a job round by round until it is over.",
        "pause": "Have no new work of a job given out for a while.",
        "resume": "Go on with a paused job.",
        "stop": "Cancel a job: what hosts have done is settled, the rest of the budget comes back.",
        "refund": "Take back what is left of a job that was stopped or is over; too early, say from when on.",
        "top-up": "Give a job more money; one whose budget was spent goes on.",
        "download": "Model, traces and metrics of a completed job.",
        "verify": "Hash a job's traces here, and prove them against the chain; of a curriculum, recompute the weights.",
    },
    "r1net.cli.doctor": {"doctor": "Check everything that a submitter needs; each failure names its fix."},
}

app = application(__doc__, COMMANDS)


@app.callback()
def options(
    ctx: typer.Context,
    coordinator: Annotated[str | None, typer.Option(help="URL of the coordinator")] = None,
    key_file: Annotated[Path | None, typer.Option(help="keystore of the account that pays")] = None,
    password_file: Annotated[Path | None, typer.Option(help="file with the keystore's password")] = None,
    rpc_url: Annotated[str | None, typer.Option(help="chain endpoint of your own")] = None,
    deployment: Annotated[Path | None, typer.Option(help="trusted contract addresses")] = None,
    json: Annotated[bool, typer.Option("--json", help="print JSON for programs; works behind any command")] = False,
    version: Version = False,
) -> None:
    """Options that every command takes."""
    flags = {
        "coordinator": coordinator,
        "key_file": key_file,
        "password_file": password_file,
        "rpc_url": rpc_url,
        "deployment": deployment,
    }
    ctx.obj = Context(flags, json)


SHARED = ("--coordinator", "--key-file", "--password-file", "--rpc-url", "--deployment")


def main() -> None:
    """Run a command."""
    run(app, SHARED)
