"""The coordinator's settings: flag > `R1_COORDINATOR_*` environment variable > `r1coordinator.toml` > default."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from r1net.errors import UsageError
from r1net.faults import first_fault

ENV_PREFIX = "R1_COORDINATOR_"
DEVELOPMENT_CHAIN = 31337
DEFAULT_FILE = Path("r1coordinator.toml")


class Settings(BaseModel):
    """Everything that can be set. Unknown keys are refused, so a typing error is not a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(default=8420, ge=0, le=65535)
    database: str = Field(default="sqlite:///r1coordinator.db", description="SQLAlchemy URL")
    blobs: Path = Field(default=Path("r1coordinator-blobs"), description="folder of the content-addressed store")
    rpc_url: str = Field(default="http://127.0.0.1:8545", description="the chain's endpoint; it is never shown")
    public_rpc_url: str | None = Field(default=None, description="a chain endpoint to publish for everybody")
    tls_certificate: Path | None = Field(default=None, description="PEM file; with tls_key, serve https")
    tls_key: Path | None = None
    trusted_proxies: str = Field(
        default="127.0.0.1,::1", description="addresses whose X-Forwarded-For names the caller, with commas; * for any"
    )
    deployment: Path = Field(default=Path("deployment.json"), description="addresses of the contracts")
    keystore: Path | None = Field(default=None, description="encrypted key that signs receipts and settles")
    password_file: Path | None = None

    lease_seconds: float = Field(default=60, gt=0)
    heartbeat_seconds: float = Field(default=10, gt=0)
    lost_after_seconds: float = Field(default=30, gt=0, description="silence after which a worker counts as lost")
    train_deadline_seconds: float = Field(default=1800, gt=0, description="longest that one training attempt may take")
    round_deadline_seconds: float = Field(default=3600, gt=0, description="longest that one lease may take")
    deadline_factor: float = Field(
        default=4, ge=1, description="how many times longer than measured a task may take before it goes to another"
    )
    min_deadline_seconds: float = Field(default=180, gt=0, description="least time for a task, whatever was measured")
    default_rate: float = Field(
        default=20, gt=0, description="tokens a second expected of a worker while a job has no measurement"
    )
    workers_per_stake: int = Field(
        default=8, ge=1, description="active workers that one owner may have for each full minimum stake"
    )
    registry_poll_seconds: float = Field(
        default=15.0, gt=0, description="pause between two looks at the stakes of the live workers' owners"
    )
    max_attempts: int = Field(
        default=10, ge=1, description="failed attempts of a round, which nobody is to blame for, before the job fails"
    )
    max_content_refusals: int = Field(
        default=3, ge=1, description="bad submissions before a worker is left out of a job"
    )
    top_up_seconds: float = Field(
        default=86400, ge=0, description="how long a job whose budget is spent waits for more before it ends"
    )
    replayable_versions: int = Field(
        default=64, ge=2, description="versions whose weights are kept, so that their traces can be replayed"
    )
    session_max_seconds: float = Field(default=86400, gt=0, description="longest that one session grant may hold")

    max_body_bytes: int = Field(default=64 * 2**20, ge=2**16)
    max_blob_bytes: int = Field(default=8 * 2**30, ge=2**20)
    max_model_bytes: int = Field(default=32 * 2**30, ge=2**20, description="of all the files of a job's model together")
    body_memory_bytes: int = Field(default=256 * 2**20, ge=2**23, description="memory for bodies at work, in all")
    body_patience_seconds: float = Field(default=10, gt=0, description="how long a body waits for that memory")
    body_stall_seconds: float = Field(default=10, gt=0, description="silence after which a sender is cut off")
    body_min_rate: int = Field(default=16 * 2**10, ge=0, description="bytes a second that a sender must bring")
    upload_bytes: int = Field(default=64 * 2**30, ge=2**20, description="bytes of blobs on their way, in all")
    uploads_per_caller: int = Field(default=4, ge=1)
    max_uploads: int = Field(default=32, ge=1)
    requests_per_caller: int = Field(default=64, ge=4, description="requests at once from one address")
    max_requests: int = Field(default=1024, ge=4)
    max_connections: int = Field(default=2048, ge=16)
    posts_per_minute: float = Field(default=120, gt=0, description="unsigned posts from one address, in the long run")
    chain_answer_seconds: float = Field(default=30, ge=0, description="how long what the registry says is believed")
    chain_queue: int = Field(default=64, ge=1, description="questions to the chain that may wait")
    cache_bytes: int = Field(
        default=8 * 2**20,
        ge=0,
        description="bytes of bundles kept parsed, where they take four times as many",
    )
    retention_days: float = Field(default=30, ge=0, description="days after its end that a job's files are kept")
    sandbox_processes: int = Field(
        default=0,
        ge=0,
        description="sandboxed processes that score at the same time; 0: one for each core, two at least",
    )
    unsafe_no_sandbox: bool = Field(
        default=False,
        description="serve without a boundary: strangers' text may then read this user's files and keys",
    )
    tick_seconds: float = Field(default=1.0, gt=0)
    settlement_poll_seconds: float = Field(default=5.0, gt=0)
    settlement_backoff_max_seconds: float = Field(default=300.0, gt=0)
    confirmations: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="blocks on top before something counts as final (default: 64, and 0 on a development chain)",
    )
    max_rejections: int = Field(
        default=3, ge=1, description="rejections after which what a job owes is held for the operator"
    )
    max_fee_gwei: float = Field(default=500.0, gt=0, description="the most that is offered for a unit of gas")
    funding_poll_seconds: float = Field(
        default=10.0, gt=0, description="pause between two looks at the escrows of the running jobs"
    )

    def depth(self, chain_id: int) -> int:
        """The confirmations to wait for. 64 blocks are two epochs of Ethereum, after which it is final, and within the
        128 blocks whose state every node keeps; a challenge window is much longer. A development chain (Anvil,
        Hardhat) reorganises when told to and may mine only what is sent, so that a depth would never be reached."""
        if self.confirmations is not None:
            return self.confirmations
        return 0 if chain_id == DEVELOPMENT_CHAIN else 64

    def settlement_pause(self, tries: int) -> float:
        """Seconds until what failed so often is tried again."""
        pause = self.settlement_poll_seconds * 2 ** min(tries, 20)
        return float(min(pause, self.settlement_backoff_max_seconds))

    @model_validator(mode="after")
    def _heartbeats_fit(self) -> Settings:
        if self.heartbeat_seconds >= min(self.lease_seconds, self.lost_after_seconds):
            raise ValueError("heartbeat_seconds must be shorter than lease_seconds and lost_after_seconds")
        if self.max_body_bytes > self.body_memory_bytes:
            raise ValueError("max_body_bytes must fit into body_memory_bytes")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together")
        return self


def _from_file(path: Path | None) -> dict[str, Any]:
    chosen = path or DEFAULT_FILE
    if path is None and not chosen.exists():
        return {}
    try:
        return tomllib.loads(chosen.read_text())
    except OSError as error:
        raise UsageError(
            f"cannot read {chosen}: {error.strerror}", hint="name an existing file with --config"
        ) from error
    except ValueError as error:  # also of what is not UTF-8
        raise UsageError(f"{chosen} is not TOML: {error}", hint="correct the file") from error


def _from_env(environ: Mapping[str, str]) -> dict[str, Any]:
    return {key.removeprefix(ENV_PREFIX).lower(): value for key, value in environ.items() if key.startswith(ENV_PREFIX)}


def load_settings(
    flags: Mapping[str, Any] | None = None, file: Path | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """Merge the sources. Raises UsageError naming the first setting that is wrong."""
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    merged = _from_file(file) | _from_env(os.environ if environ is None else environ) | given
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        where, said, hint = first_fault(error, Settings)
        name = ".".join(map(str, where)) or "settings"
        raise UsageError(f"{name}: {said}", hint=hint or "see `r1coordinator serve --help`") from error
