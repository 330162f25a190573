"""`r1node`: the command of a GPU host.

Exit codes: 0 ok, 1 failure, 2 usage, 3 preflight, 4 keys, 5 chain. Data goes to stdout, words to stderr.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from r1net.cli.program import application, run
from r1node.cli import (
    alert,
    archive,
    audit,
    calibrate,
    config,
    disputes,
    doctor,
    engine,
    identity,
    join,
    jury,
    leave,
    odds,
    pause,
    rewards,
    service,
    stake,
    status,
    trust,
    verify,
    wallet,
    watch,
)
from r1node.cli.context import Context

app = application(__doc__)
modules = (
    *(identity, wallet, trust, join, leave, stake, status, doctor, engine, rewards, audit, verify, calibrate, odds),
    *(disputes, jury, watch, archive, pause, service, alert, config),
)
for module in modules:
    module.add_to(app)


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
    run(app, SHARED)
