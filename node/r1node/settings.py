"""The node's settings: flag > `R1_*` environment variable > ./r1.toml > ~/.config/r1net/r1.toml > default."""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from r1net.errors import UsageError
from r1net.faults import first_fault, look_for_slips, shown
from r1net.settings import Settings as submitters
from r1net.urls import is_loopback, require_tls
from r1node.alerts import check_target
from r1node.announcing import announcing, default_listen, listening
from r1node.hours import Hours

ENV_PREFIX = "R1_"
LOCAL_FILE = Path("r1.toml")
USER_FILE = Path("~/.config/r1net/r1.toml")


class Settings(BaseModel):
    """Everything a host can set. Unknown keys in a file are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    coordinator: str = Field(default="http://127.0.0.1:8420", description="URL of the coordinator")
    data_dir: Path = Field(default=Path("~/.r1net"), description="keys, models and state")
    worker: str = Field(default="0", description="name of this worker; one for each GPU")
    password_file: Path | None = Field(default=None, description="file with the keystore's password; else asked for")
    rpc_url: str | None = Field(
        default=None, description="chain endpoint; default: the one that the coordinator publishes, to read by"
    )
    deployment: Path | None = Field(
        default=None, description="the network's contracts, from its operator; default: what `r1node trust` pinned"
    )
    allow_plain_http: bool = Field(
        default=False, description="risk unencrypted connections beyond this machine; for a network that is yours alone"
    )
    stake: int | None = Field(default=None, ge=0, description="R1 wei to stake at the first join; default: the minimum")
    min_price: int = Field(
        default=10**9, ge=0, description="least wei of R1 for a token of work; jobs that pay less are not worked on"
    )
    accept: str = Field(
        default="", description="further tokens to be paid in, with the least wei of each: 0x…=WEI, with commas"
    )
    mirrors: str = Field(
        default="",
        description="archives of the network's epochs to look at where the coordinator shows nothing that holds: URLs "
        "or folders, with commas",
    )
    unsafe_no_sandbox: bool = Field(
        default=False, description="work without a boundary: strangers' jobs may then read this user's files and keys"
    )
    device: str = Field(default="auto", description="what computes: auto, cpu, cuda or cuda:N")
    engine: Literal["auto", "builtin", "vllm"] = Field(
        default="auto", description="what generates; auto: see `r1node engine list`"
    )
    vllm_dir: Path | None = Field(default=None, description="vLLM's environment; default: engines/vllm in data_dir")
    threads: int = Field(default=0, ge=0, description="CPU threads for tensors; 0 = all cores")
    patience: float = Field(
        default=600.0,
        ge=0,
        description="seconds that `join` waits for a coordinator or chain that is away when it starts",
    )
    alert: str | None = Field(
        default=None,
        description="who is told of what needs a person, such as an accusation: a URL that takes JSON, or a command "
        "that reads it from its standard input",
    )
    store_limit: float = Field(
        default=100.0, gt=0, description="GiB of jobs' models and data that are kept, for all workers of data_dir"
    )
    hours: str = Field(
        default="", description='when to work, by this machine\'s clock: "mon-fri 22:00-07:00, sat-sun 00:00-24:00"'
    )
    max_temperature: float | None = Field(
        default=None, gt=0, description="°C of the GPU, or without one of the processor, above which to rest"
    )
    gpu_memory: float = Field(default=1.0, gt=0, le=1, description="share of the GPU's memory that a worker may take")
    bandwidth: float = Field(
        default=0.0,
        ge=0,
        description="Mbit/s that models, data and versions may take of the line, for each worker; 0: no bound. "
        "Averaging gradients isn't bound by it: see train",
    )
    train: bool = Field(
        default=True, description="take part in training too, which sends a model's gradient to other hosts every round"
    )
    listen: str | None = Field(
        default=None,
        description="libp2p addresses to listen at, with commas; default: this machine alone if the coordinator is on "
        "it, else every address at TCP port 4001, plus the worker's number",
    )
    announce: str = Field(
        default="", description="libp2p addresses that peers are told instead of those listened at, with commas"
    )
    port_map: bool = Field(default=False, description="ask the router (UPnP, NAT-PMP) to forward the port to this host")

    @field_validator("worker")
    @classmethod
    def _a_name(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", value):
            raise ValueError(f"{shown(value)} is not a name of up to 32 letters, digits, _ and -")
        return value

    @field_validator("device")
    @classmethod
    def _a_device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", value):
            raise ValueError(f"{shown(value)} is not auto, cpu, cuda or cuda:N")
        return value

    @field_validator("accept")
    @classmethod
    def _readable(cls, value: str) -> str:
        _tokens(value)
        return value

    @field_validator("listen")
    @classmethod
    def _listenable(cls, value: str | None) -> str | None:
        if value is not None:
            listening(value)
        return value

    @field_validator("announce")
    @classmethod
    def _announceable(cls, value: str) -> str:
        announcing(value)
        return value

    @field_validator("hours")
    @classmethod
    def _hours(cls, value: str) -> str:
        Hours.parse(value)
        return value

    @model_validator(mode="after")
    def _encrypted(self) -> Settings:
        urls = [place for place in self.mirror_places if isinstance(place, str)]
        for url in (self.coordinator, *((self.rpc_url,) if self.rpc_url else ()), *urls):
            require_tls(url, self.allow_plain_http)
        if self.alert is not None:
            check_target(self.alert, self.allow_plain_http)
        return self

    def floors(self, r1: str) -> dict[str, int]:
        """Token -> the least wei that a token of work must bring. `r1` is the address of the network's own token."""
        return _tokens(self.accept) | {r1: self.min_price}

    @property
    def mirror_places(self) -> list[str | Path]:
        """The mirrors in the order in which they are asked: a URL is a string, a folder a path."""
        places = filter(None, (place.strip() for place in self.mirrors.split(",")))
        return [place if "://" in place else Path(place).expanduser() for place in places]

    @property
    def listen_addresses(self) -> tuple[str, ...]:
        """Where the libp2p daemon listens."""
        return listening(self.listen or default_listen(is_loopback(self.coordinator), self.worker))

    @property
    def announced_addresses(self) -> tuple[str, ...]:
        """What peers are told instead; empty: the daemon's own addresses."""
        return announcing(self.announce)

    @property
    def home(self) -> Path:
        """The data folder, expanded. Raises UsageError where it should be below a home folder, and there is none."""
        try:
            return self.data_dir.expanduser()
        except RuntimeError as error:
            raise UsageError("this user has no home folder", hint="say where to keep things: --data-dir") from error

    @property
    def pin_file(self) -> Path:
        """The network that the host trusts, if it has been pinned."""
        return self.home / "network.json"

    @property
    def vllm_folder(self) -> Path:
        """Where vLLM's environment is, or would be."""
        return self.home / "engines" / "vllm" if self.vllm_dir is None else self.vllm_dir.expanduser()

    @property
    def store_folder(self) -> Path:
        """Where jobs' files are kept, for all workers."""
        return self.home / "store"

    @property
    def store_bytes(self) -> int:
        """How much of them."""
        return int(self.store_limit * 2**30)

    @property
    def owner_keystore(self) -> Path:
        """The host's wallet."""
        return self.home / "wallet.json"

    @property
    def init_command(self) -> str:
        """What makes the keys that these settings name."""
        chosen = {"--data-dir": self.data_dir, "--worker": self.worker}
        usual = {"--data-dir": Path("~/.r1net"), "--worker": "0"}
        options = [part for name, value in chosen.items() if value != usual[name] for part in (name, str(value))]
        return shlex.join(["r1node", "init", *options])

    @property
    def worker_folder(self) -> Path:
        """This worker's own folder."""
        return self.home / "workers" / self.worker

    @property
    def worker_folders(self) -> list[Path]:
        """The folders of this machine's workers, those that were retired left out."""
        return sorted(file.parent for file in (self.home / "workers").glob("*/key.json"))

    @property
    def worker_keystore(self) -> Path:
        """The worker's key, which is also its libp2p identity."""
        return self.worker_folder / "key.json"


def _tokens(text: str) -> dict[str, int]:
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"(0x[0-9a-fA-F]{40})=(\d{1,78})", part)
        if match is None:
            raise ValueError(f"{part!r} is not of the form 0x…=WEI")
        found[match[1]] = int(match[2])
    return found


@dataclass(frozen=True)
class Resolved:
    """Settings, and for each where it came from."""

    settings: Settings
    origins: dict[str, str]


def resolve(flags: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Resolved:
    """Merge the sources. Raises UsageError naming the first setting that is wrong."""
    environ = os.environ if environ is None else environ
    merged: dict[str, Any] = {}
    origins = dict.fromkeys(Settings.model_fields, "default")
    sources = (
        (str(USER_FILE), _from_file(USER_FILE)),
        (str(LOCAL_FILE), _from_file(LOCAL_FILE)),
        ("environment", _from_environment(environ)),
        ("flag", {key: value for key, value in flags.items() if value is not None}),
    )
    for origin, values in sources:
        merged |= values
        origins |= dict.fromkeys(values, origin)
    try:
        return Resolved(Settings.model_validate(merged), origins)
    except ValidationError as error:
        where, said, hint = first_fault(error, Settings)
        name = ".".join(map(str, where))
        raise UsageError(
            f"setting {name!r} (from {origins.get(name, 'file')}): {said}",
            hint=hint or "`r1node config show` lists every setting",
        ) from error


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    look_for_slips(environ, ENV_PREFIX, Settings.model_fields, submitters.model_fields)
    names = {ENV_PREFIX + name.upper(): name for name in Settings.model_fields}
    return {names[key]: value for key, value in environ.items() if key in names}


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.expanduser().read_text(encoding="utf-8"))
    except (FileNotFoundError, RuntimeError):  # RuntimeError: a user without a home folder
        return {}
    except ValueError as error:  # also of what is not UTF-8
        raise UsageError(f"{path} is not TOML: {error}", hint="mend or remove the file") from error
