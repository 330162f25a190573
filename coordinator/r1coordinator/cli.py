"""`r1coordinator serve` and `r1coordinator migrate`."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from r1coordinator.settings import Settings, load_settings
from r1net.cli.edge import told
from r1net.urls import redact, scrub_output

app = typer.Typer(help="The coordinator of an r1net network.", no_args_is_help=True, add_completion=False)

Config = Annotated[Path | None, typer.Option(help="settings file (default: r1coordinator.toml, if it is there)")]
DatabaseUrl = Annotated[str | None, typer.Option(help="SQLAlchemy URL, e.g. sqlite:///r1coordinator.db")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


def _say(as_json: bool, words: str, **facts: Any) -> None:
    typer.echo(json.dumps(facts) if as_json else words)


@app.command()
def migrate(config: Config = None, database: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Bring the database to the schema of this version."""
    from r1coordinator.store.database import migrate as run  # noqa: PLC0415

    settings = load_settings({"database": database}, config)
    revision = run(settings.database)
    _say(as_json, f"the database is at revision {revision}", database=redact(settings.database), revision=revision)


@app.command()
def serve(  # noqa: PLR0913, PLR0917 (typer takes a flag from each parameter)
    config: Config = None,
    database: DatabaseUrl = None,
    host: Annotated[str | None, typer.Option(help="address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="TCP port")] = None,
    blobs: Annotated[Path | None, typer.Option(help="folder of the blob store")] = None,
    rpc_url: Annotated[str | None, typer.Option(help="the chain's JSON-RPC endpoint")] = None,
    deployment: Annotated[Path | None, typer.Option(help="deployment file of the contracts")] = None,
    keystore: Annotated[Path | None, typer.Option(help="encrypted key that signs receipts and settles")] = None,
    password_file: Annotated[Path | None, typer.Option(help="file with the keystore's password")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the coordinator. Every other setting: R1_COORDINATOR_<NAME> or the settings file."""
    flags = {
        "database": database,
        "host": host,
        "port": port,
        "blobs": blobs,
        "rpc_url": rpc_url,
        "deployment": deployment,
        "keystore": keystore,
        "password_file": password_file,
    }
    _serve(load_settings(flags, config), as_json)


_TURN = 0.001
"""Seconds for which a busy thread keeps the others waiting: a short answer needs several turns."""


def _serve(settings: Settings, as_json: bool) -> None:
    import uvicorn  # noqa: PLC0415

    from r1coordinator.api.app import create_app  # noqa: PLC0415
    from r1coordinator.memory import share_arenas  # noqa: PLC0415
    from r1coordinator.server import configure  # noqa: PLC0415
    from r1coordinator.services import build, load_key  # noqa: PLC0415
    from r1net.chain import Deployment  # noqa: PLC0415
    from r1net.sandbox import SandboxPool  # noqa: PLC0415

    logging.getLogger("r1coordinator").setLevel(logging.INFO)
    sys.setswitchinterval(_TURN)
    share_arenas()
    sandbox = SandboxPool(settings.sandbox_processes, unsafe=settings.unsafe_no_sandbox)
    deployment = Deployment.load(settings.deployment)
    with closing(sandbox):
        services = build(settings, deployment, load_key(settings), sandbox)
        url = f"{'https' if settings.tls_key else 'http'}://{settings.host}:{settings.port}"
        words, facts = f"serving on {url} as {services.key.address}", {"url": url, "account": services.key.address}
        if deployment.code:  # what hosts compare with before they trust a coordinator
            words, facts = f"{words}, network digest {deployment.digest()}", facts | {"network": deployment.digest()}
        _say(as_json, words, **facts)
        uvicorn.Server(configure(create_app(services), settings)).run()


def main() -> None:
    """Run the command line; an error becomes words and an exit code."""
    scrub_output("%(asctime)s %(levelname)s %(name)s: %(message)s")
    with told("--json" in sys.argv, extra="coordinator"):
        app()
