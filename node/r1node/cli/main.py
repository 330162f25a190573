"""`r1node`: the command of a GPU host.

Exit codes: 0 ok, 1 failure, 2 usage, 3 preflight, 4 keys, 5 chain, 70 a bug. Data goes to stdout, words to
stderr.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from r1net.cli.commands import Commands
from r1net.cli.program import Version, application, run
from r1node.cli.context import Context

COMMANDS: Commands = {
    "r1node.cli.identity": {"init": "Make the wallet and this worker's key, both encrypted."},
    "r1node.cli.wallet": {
        "wallet": "Address and balances of the wallet; sending from it, and a copy of its key for other programs.",
    },
    "r1node.cli.trust": {
        "trust": "Show the network that the coordinator names; with --digest, pin it if that is its digest.",
    },
    "r1node.cli.join": {"join": "Stake if need be, join the network and work until stopped with Ctrl-C."},
    "r1node.cli.leave": {
        "leave": "Leave the network; called again after the date that it names, bring the stake back.",
    },
    "r1node.cli.stake": {"stake": "what this host has at stake"},
    "r1node.cli.status": {
        "status": "Disputes first; then the stake, every worker and what it does, "
        "and every job and what it brings an hour.",
    },
    "r1node.cli.doctor": {"doctor": "Check everything that a worker needs; each failure names its fix."},
    "r1node.cli.engine": {"engine": "rollout engines"},
    "r1node.cli.rewards": {
        "rewards": "What this host earned: what of it is pending and until when, what "
        "can be claimed at what gas, what was.",
        "claim": "Claim what is due, in every token, from every line that is paid.",
    },
    "r1node.cli.audit": {
        "audit": "Recompute the roots and amounts of an epoch's lines, and compare them with the chain.",
    },
    "r1node.cli.verify": {"verify": "Replay a random sample of every other worker's traces, and judge it."},
    "r1node.cli.calibrate": {"calibrate": "Measure what the job should say: `r1net.Verification(noise=…, traces=…)`."},
    "r1node.cli.odds": {
        "odds": "Tell for every known way to cheat how likely it is to be caught in this job, "
        "and what it brings on average.",
    },
    "r1node.cli.disputes": {
        "challenge": "Replay the submission that a trace came in; if it is bad, dispute it on chain against a bond.",
        "answer": "Answer an accusation, so that jurors are drawn; a running `r1node join` does so by itself.",
        "appeal": "Ask for a larger committee of other jurors: for whoever lost, twice at most.",
        "disputes": "Every dispute, where it stands and what comes next.",
    },
    "r1node.cli.jury": {"jury": "judging disputes"},
    "r1node.cli.watch": {
        "watch": "Dispute submissions that failed their checks, votes that were false, "
        "and lines of epochs that don't hold, with a bond.",
    },
    "r1node.cli.archive": {
        "archive": "Keep all that an audit of any line takes: lines, specifications, signed bundles, "
        "statements, tasks, signatures.",
    },
    "r1node.cli.pause": {
        "pause": "Take no more work after the task in hand: of all workers, or of the one that --worker names.",
        "resume": "Work again: all workers, or the one that --worker names.",
        "drain": "End the workers of this machine after the task that each has in hand: all, "
        "or the one that --worker names.",
    },
    "r1node.cli.workers": {"worker": "workers of this machine and their keys"},
    "r1node.cli.service": {"service": "run as a service"},
    "r1node.cli.alert": {
        "alert": "Send a trial to where `alert` points, as `join` and `watch` do when something needs a person.",
    },
    "r1node.cli.config": {"config": "settings"},
}

app = application(__doc__, COMMANDS)


@app.callback()
def options(  # noqa: PLR0913, PLR0917 - one for each option that every command takes
    ctx: typer.Context,
    coordinator: Annotated[str | None, typer.Option(help="URL of the coordinator")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="keys, models and state")] = None,
    worker: Annotated[str | None, typer.Option(help="name of the worker, one for each GPU")] = None,
    password_file: Annotated[Path | None, typer.Option(help="file with the keystore's password")] = None,
    rpc_url: Annotated[str | None, typer.Option(help="chain endpoint")] = None,
    deployment: Annotated[Path | None, typer.Option(help="trusted contract addresses")] = None,
    mirrors: Annotated[str | None, typer.Option(help="archives to look at too: URLs or folders, with commas")] = None,
    json: Annotated[bool, typer.Option("--json", help="print JSON for programs; works behind any command")] = False,
    version: Version = False,
) -> None:
    """Options that every command takes."""
    flags = {
        "coordinator": coordinator,
        "data_dir": data_dir,
        "worker": worker,
        "password_file": password_file,
        "rpc_url": rpc_url,
        "deployment": deployment,
        "mirrors": mirrors,
    }
    ctx.obj = Context(flags, json)


SHARED = ("--coordinator", "--data-dir", "--worker", "--password-file", "--rpc-url", "--deployment", "--mirrors")


def main() -> None:
    """Run a command."""
    run(app, SHARED, extra="node")
