"""What every command shares: settings, keys, and the way to the coordinator and the chain."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from getpass import getpass
from typing import Any

from eth_account.signers.local import LocalAccount

from r1net.chain import Chain, load_keystore
from r1net.chain.keystore import keystore_address, read_password
from r1net.errors import KeyFileError
from r1net.transport import Transport
from r1node.network import connect_chain, network_info
from r1node.settings import Resolved, Settings, resolve


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

    def coordinator(self) -> Transport:
        """Unauthenticated requests to the coordinator."""
        return Transport(self.settings.coordinator, allow_plain_http=self.settings.allow_plain_http)

    def address(self) -> str:
        """The owner's address; needs no password."""
        return keystore_address(self.settings.owner_keystore)

    def owner(self) -> LocalAccount:
        """The owner's unlocked wallet."""
        return load_keystore(self.settings.owner_keystore, self.password())

    def chain(self, account: LocalAccount | None = None) -> Chain:
        """The chain, read-only unless an account is given."""
        return connect_chain(self.settings, network_info(self.settings), account)

    def password(self, new: bool = False) -> str:
        """From the password file, or asked for at a terminal. Never from the command line, where others can see it."""
        file = self.settings.password_file
        if file is not None:
            return read_password(file)
        if not sys.stdin.isatty():
            raise KeyFileError("no password", hint="set --password-file or R1_PASSWORD_FILE, or run at a terminal")
        password = getpass("Password of the keystore: ")
        if new and getpass("Once more: ") != password:
            raise KeyFileError("the two passwords differ", hint="try again")
        return password
