"""A worker as a service of systemd, of this user: started with the machine, started again when it breaks."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from r1net.errors import PreflightError

FOLDER = Path("~/.config/systemd/user")
FINAL = (2, 3, 4)
"""Exit codes after which starting again would help nothing: usage, preflight, keys."""
PATIENCE = 90
"""Seconds that a worker has to end; it needs ten, and a crew a little more."""


@dataclass(frozen=True)
class Unit:
    """A service: its name, the command line that it runs, the variables that this needs, and where it runs."""

    name: str
    command: Sequence[str]
    variables: Mapping[str, str]
    folder: Path

    @property
    def file(self) -> Path:
        """Where systemd looks for it."""
        return FOLDER.expanduser() / f"{self.name}.service"

    def text(self) -> str:
        """The unit file (systemd.service(5), systemd.exec(5))."""
        environment = [f"Environment={quoted(f'{name}={value}')}" for name, value in sorted(self.variables.items())]
        return "\n".join(
            [
                "[Unit]",
                "Description=r1net worker",
                "After=network-online.target",
                "",
                "[Service]",
                f"ExecStart={' '.join(quoted(word) for word in self.command)}",
                f"WorkingDirectory={str(self.folder).replace('%', '%%')}",
                *environment,
                "Restart=on-failure",
                "RestartSec=30",
                f"RestartPreventExitStatus={' '.join(map(str, FINAL))}",
                f"TimeoutStopSec={PATIENCE}",
                "",
                "[Install]",
                "WantedBy=default.target",
                "",
            ]
        )

    def install(self) -> None:
        """Write the unit, for this user's eyes alone: variables may hold keys of endpoints. Start it now and whenever
        the machine starts. Raises PreflightError."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.touch(mode=0o600)
        self.file.chmod(0o600)
        self.file.write_text(self.text())
        systemctl("daemon-reload")
        systemctl("enable", self.file.name)
        systemctl("restart", self.file.name)  # also one that ran under an older unit

    def remove(self) -> bool:
        """Stop the service and forget it; False if there was none."""
        if not self.file.exists():
            return False
        systemctl("disable", "--now", self.file.name)
        self.file.unlink()
        systemctl("daemon-reload")
        return True

    def state(self) -> str:
        """What systemd says of it: active, failed, inactive …; `not installed` without a unit."""
        return systemctl("is-active", self.file.name, check=False) if self.file.exists() else "not installed"


def quoted(word: str) -> str:
    """A word of a unit file, as it is: no specifier (%), no variable ($), no break at spaces."""
    escaped = re.sub(r'([\\"])', r"\\\1", word).replace("%", "%%").replace("$", "$$").replace("\n", "\\n")
    return f'"{escaped}"'


def systemctl(*words: str, check: bool = True) -> str:
    """Ask this user's systemd. Raises PreflightError where there is none, or it refuses."""
    program = shutil.which("systemctl")
    if program is None:
        raise PreflightError("there is no systemd here", hint="let your own supervisor run: r1node join --yes")
    done = subprocess.run([program, "--user", *words], capture_output=True, text=True, check=False)  # noqa: S603
    if check and done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise PreflightError(
            f"systemctl --user {' '.join(words)}: {said[-1] if said else done.returncode}",
            hint="log in as this user, not by su; or let your own supervisor run: r1node join --yes",
        )
    return done.stdout.strip()


def starts_without_login(user: str) -> bool:
    """Whether services of this user run while he isn't logged in."""
    return Path(f"/var/lib/systemd/linger/{user}").exists()
