"""A juror's secrets between commit and reveal: lost, they cost the juror's stake; shown, they give the vote away."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from r1net.chain.disputes import Verdict
from r1net.errors import KeyFileError
from r1net.whole import write_whole


@dataclass(frozen=True)
class Vote:
    """What was committed to, and why."""

    verdict: Verdict
    salt: str
    reason: str


class BallotBox:
    """Votes of one owner on one chain, in one private file."""

    def __init__(self, folder: Path, chain_id: int, disputes: str) -> None:
        self._file = folder / f"ballots-{chain_id}-{disputes[2:10].lower()}.json"

    def get(self, dispute: int, round_: int) -> Vote | None:
        """The vote in one round of a dispute, if there is one."""
        row = self._read().get(f"{dispute}/{round_}")
        return None if row is None else Vote(Verdict[row["verdict"]], row["salt"], row["reason"])

    def keep(self, dispute: int, round_: int, verdict: Verdict, reason: str) -> Vote:
        """A vote with a fresh salt, on disk before this returns: commit only then."""
        vote = Vote(verdict, "0x" + secrets.token_hex(32), reason)
        self._write(
            self._read() | {f"{dispute}/{round_}": {"verdict": verdict.name, "salt": vote.salt, "reason": reason}}
        )
        return vote

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            rows: dict[str, dict[str, str]] = json.loads(self._file.read_text())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise KeyFileError(f"{self._file} is broken: {error}", hint="restore it before the reveal ends") from error
        return rows

    def _write(self, rows: dict[str, dict[str, str]]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(self._file, json.dumps(rows, indent=2))
