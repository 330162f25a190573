"""What this host lays before jurors: files whose digests go on chain."""

from __future__ import annotations

from pathlib import Path

from r1net.protocol.evidence import Evidence


def file_evidence(home: Path, evidence: Evidence) -> tuple[Path, str]:
    """Keep evidence in the data folder, for whoever asks for it, before its digest goes on chain. Returns both."""
    folder = home / "disputes"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    digest = evidence.digest()
    path = folder / f"{digest}.json"
    path.write_bytes(evidence.canonical())
    return path, digest
