"""What every command shares: settings, keys, and the way to the coordinator and the chain.

What these ways take is loaded when a command goes one: `--help`, and the first words of `join`, wait for none of it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r1net.errors import KeyFileError
from r1node.settings import Resolved, Settings, resolve

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from r1net.audit import Shelf, Source, Sources
    from r1net.chain import Chain
    from r1net.transport import Transport

MIRROR_TIMEOUT = 20.0
"""Seconds without a byte after which the next mirror is asked."""


@dataclass
class Context:
    """Filled by the top-level callback before a command runs."""

    flags: dict[str, Any]
    as_json: bool

    @property
    def resolved(self) -> Resolved:
        """Settings with their origins."""
        return resolve(self.flags)

    @property
    def settings(self) -> Settings:
        """The merged settings."""
        return self.resolved.settings

    def command(self, *words: str) -> list[str]:
        """The command line of another process of this program that is to run under the same flags, but for the
        password's file."""
        flags = {name: value for name, value in self.flags.items() if name != "password_file"}
        given = [word for name, value in flags.items() for word in _words(name, value)]
        program = [sys.executable, "-m", "r1node", *words, *given]
        return [*program, "--json"] if self.as_json else program

    def coordinator(self) -> Transport:
        """Unauthenticated requests to the coordinator."""
        from r1net.transport import Transport  # noqa: PLC0415
        from r1node.network import ASKED_FOR  # noqa: PLC0415

        plain = self.settings.allow_plain_http
        return Transport(self.settings.coordinator, patience=ASKED_FOR, allow_plain_http=plain)

    def sources(self, shelf: Shelf | None = None) -> Sources:
        """Where audits look: at the coordinator first, then at the mirrors."""
        from r1net.audit import Sources  # noqa: PLC0415

        return Sources(self.coordinator(), [self._mirror(place) for place in self.settings.mirror_places], shelf)

    def _mirror(self, place: str | Path) -> Source:
        from r1net.audit import Shelf  # noqa: PLC0415
        from r1net.transport import Transport  # noqa: PLC0415

        if isinstance(place, Path):
            return Shelf(place)
        plain = self.settings.allow_plain_http
        return Transport(place, timeout=MIRROR_TIMEOUT, patience=0, allow_plain_http=plain)

    def address(self) -> str:
        """The owner's address; needs no password."""
        from r1net.chain.keystore import keystore_address  # noqa: PLC0415

        return keystore_address(self.settings.owner_keystore)

    def owner(self) -> LocalAccount:
        """The owner's unlocked wallet."""
        from r1net.chain import load_keystore  # noqa: PLC0415

        return load_keystore(self.settings.owner_keystore, self.password())

    def chain(self, account: LocalAccount | None = None) -> Chain:
        """The chain, read-only unless an account is given."""
        from r1node.network import open_chain  # noqa: PLC0415

        return open_chain(self.settings, account)

    def note(self, event: str, words: str) -> None:
        """Say what happens: a line of words, or of JSON for a program, on standard error."""
        line = json.dumps({"event": event, "detail": words}) if self.as_json else words
        print(line, file=sys.stderr, flush=True)

    def asks(self, question: str) -> bool | None:
        """A person's answer to a question; None where there is no terminal to ask at."""
        if not sys.stdin.isatty():
            return None
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def password(self, new: bool = False) -> str:
        """From the password file, or asked for at a terminal. Never from the command line, where others can see it."""
        return self.ask_password(self.settings.password_file, "--password-file or R1_PASSWORD_FILE", new)

    @staticmethod
    def ask_password(file: Path | None, option: str, new: bool) -> str:
        """From a file, which `option` names, or asked for at a terminal: twice if it is a new one."""
        if file is not None:
            from r1net.chain.keystore import read_password  # noqa: PLC0415

            return read_password(file)
        if not sys.stdin.isatty():
            raise KeyFileError("no password", hint=f"set {option}, or run at a terminal")
        password = getpass("Password of the keystore: ")
        if new and getpass("Once more: ") != password:
            raise KeyFileError("the two passwords differ", hint="try again")
        return password


def _words(name: str, value: object) -> list[str]:
    """A setting as it is typed; nothing where it wasn't."""
    option = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [option] if value else []
    return [] if value is None else [option, str(value)]
