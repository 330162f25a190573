"""`r1net`: fund, follow and verify jobs.

Exit codes: 0 ok, 1 failure, 2 usage, 3 preflight, 4 keys, 5 chain. Data goes to stdout, words to stderr.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from r1net.cli import doctor, runs, submit
from r1net.cli.context import Context
from r1net.cli.program import application, run

app = application(__doc__)
submit.add_to(app)
runs.add_to(app)
doctor.add_to(app)


@app.callback()
def options(
    ctx: typer.Context,
    coordinator: Annotated[str | None, typer.Option(help="URL of the coordinator")] = None,
    key_file: Annotated[Path | None, typer.Option(help="keystore of the account that pays")] = None,
    password_file: Annotated[Path | None, typer.Option(help="file with the keystore's password")] = None,
    rpc_url: Annotated[str | None, typer.Option(help="chain endpoint of your own")] = None,
    deployment: Annotated[Path | None, typer.Option(help="trusted contract addresses")] = None,
    json: Annotated[bool, typer.Option("--json", help="print JSON for programs; works behind any command")] = False,
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
