"""A submitter's settings: argument > `R1_*` variable > ./r1net.toml > ~/.config/r1net/r1net.toml > default."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from r1net.errors import UsageError
from r1net.faults import in_words, look_for_slips

if TYPE_CHECKING:
    from r1net.client import Client

PREFIX = "R1_"
FILES = (Path("~/.config/r1net/r1net.toml"), Path("r1net.toml"))
"""The later one wins."""


class Settings(BaseModel):
    """Everything that a submitter can set. Unknown keys in a file are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    coordinator: str = Field(default="http://127.0.0.1:8420", description="URL of the coordinator")
    key_file: Path | None = Field(default=None, description="keystore of the account that pays")
    password_file: Path | None = Field(default=None, description="file with the keystore's password")
    rpc_url: str | None = Field(default=None, description="chain endpoint of your own")
    deployment: Path | None = Field(default=None, description="the network's contracts, from its operator")
    allow_plain_http: bool = Field(default=False, description="risk unencrypted connections beyond this machine")

    def client(self) -> Client:
        """A connection with these settings."""
        from r1net.client import Client  # noqa: PLC0415 - half a second, which settings alone don't take

        return Client(
            self.coordinator,
            key_file=self.key_file,
            password_file=self.password_file,
            rpc_url=self.rpc_url,
            deployment=self.deployment,
            allow_plain_http=self.allow_plain_http,
        )


def connect(**settings: Any) -> Client:
    """A client with the settings given here, in `R1_*` variables and in files, in this order. Raises UsageError."""
    return resolve(settings).client()


def resolve(flags: Mapping[str, Any]) -> Settings:
    """The merged settings. Raises UsageError naming what is wrong, and where."""
    found: dict[str, Any] = {}
    for path in FILES:
        found |= _file(path)
    names = Settings.model_fields
    look_for_slips(os.environ, PREFIX, names)
    found |= {name: value for name in names if (value := os.environ.get(PREFIX + name.upper()))}
    found |= {name: value for name, value in flags.items() if value is not None}
    return _checked(found, "settings")


def _file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.expanduser().read_text(encoding="utf-8"))
    except (FileNotFoundError, RuntimeError):  # RuntimeError: a user without a home folder
        return {}
    except ValueError as error:  # also of what is not UTF-8
        raise UsageError(f"{path} is not TOML: {error}", hint="mend or remove the file") from error
    _checked(values, str(path))
    return values


def _checked(values: dict[str, Any], source: str) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise in_words(error, Settings, source) from error
