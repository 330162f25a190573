"""A coordinator that is gone, or has deleted a job's files: whoever has an archive finds what was found before."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from r1net.audit import AuditResult, Shelf, Sources, audit_epoch
from r1net.chain.disputes import DisputePhase, DisputeState, Verdict
from r1net.errors import Unreachable
from r1net.protocol.canonical import sha256
from r1net.protocol.trace import SignedTrace, TraceBundle
from r1net.transport import Transport
from r1node.store import Store
from r1node.verification.archivist import Archivist
from r1node.verification.bench import LAST_CALL, Bench
from r1node.verification.replay import Desk
from tests.integration.coordinator.live import LiveNode, LiveWorld, until
from tests.integration.coordinator.test_watching import finish
from tests.sandbox import SANDBOX


class Quiet(SimpleHTTPRequestHandler):
    """Any web server would do."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def command(world: LiveWorld, *arguments: str) -> list[str]:
    own = ["--data-dir", str(world.folder / "host"), "--rpc-url", world.anvil.url]
    network = ["--deployment", str(world.folder / "deployment.json"), "--coordinator", f"http://127.0.0.1:{world.port}"]
    return [str(Path(sys.executable).with_name("r1node")), *arguments, *own, *network, "--json"]


def run(world: LiveWorld, *arguments: str) -> tuple[int, Any]:
    done = subprocess.run(command(world, *arguments), capture_output=True, text=True, check=False, timeout=300)
    return done.returncode, json.loads(done.stdout or done.stderr.strip().splitlines()[-1])


def half(folder: Path) -> list[Path]:
    """Files that a reader would find and that aren't what their names say."""
    blobs = [file for file in folder.glob("v1/blobs/*") if sha256(file.read_bytes()) != file.name]
    signatures = folder.glob("v1/jobs/*/traces/*/submission")
    return blobs + [file for file in signatures if SignedTrace.parse(file.read_bytes()).trace_digest != file.parts[-2]]


def submissions(folder: Path) -> list[SignedTrace]:
    """All that an archive has."""
    return [SignedTrace.parse(file.read_bytes()) for file in folder.glob("v1/jobs/*/traces/*/submission")]


def test_what_was_found_is_found_without_the_coordinator(world: LiveWorld, tmp_path: Path) -> None:
    node = LiveNode(world, 1)
    node.start()
    finish(world, 1)
    node.stop()
    source = Transport(f"http://127.0.0.1:{world.port}", patience=0)

    def found(*mirrors: Shelf | Transport) -> list[tuple[AuditResult, ...]]:
        return [line.findings for line in audit_epoch(1, Sources(source, mirrors), world.chain)]

    before = found()
    assert all(one.holds for line in before for one in line)

    folder = tmp_path / "archive"
    killed_while_archiving(world, folder)
    assert half(folder) == []
    code, result = run(world, "archive", str(folder), "--once")
    (line,) = result["lines"]
    assert (code, line["whole"], half(folder)) == (0, True, [])
    assert run(world, "archive", str(folder), "--once")[1]["lines"] == [], "it is all there"
    print(f"{line['files']} files, {line['bytes']} bytes; traces, tokens: {work(folder)}")
    garbled(world, tmp_path / "garbled", Shelf(folder), before)

    shutil.rmtree(world.folder / "r1coordinator-blobs")
    alone = found()
    assert not all(one.holds for line in alone for one in line)
    assert found(Shelf(folder)) == before
    spoilt = Shelf(spoil(folder, tmp_path / "spoilt"))
    assert found(spoilt) == alone
    assert found(spoilt, Shelf(folder)) == before

    world.kill()
    for mirrors in ((), (spoilt,)):
        with pytest.raises(Unreachable):
            found(*mirrors)
    with served(folder) as url, Transport(url, patience=0) as mirror:
        assert found(spoilt, mirror) == before
        code, result = run(world, "audit", "1", "--mirrors", f"{tmp_path / 'spoilt'},{url}")
    assert (code, len(result["findings"])) == (0, len(before[0]))
    assert run(world, "audit", "1", "--mirrors", str(tmp_path / "spoilt"))[1]["code"] == "unreachable"
    judged_without_being_shown(world, source, Shelf(folder))
    forgotten_in_time(world, source, Shelf(folder))
    source.close()


def judged_without_being_shown(world: LiveWorld, source: Transport, shelf: Shelf) -> None:
    """A settler that goes away until the court has decided: jurors wait for it, but not until it is too late to vote.
    Where somebody else shows the line, its absence changes nothing."""
    now = world.chain.settlement.clock()

    def judged(deadline: int, *mirrors: Shelf) -> Verdict:
        desk = Desk(source, Store(world.folder / "store"), world.folder, "cpu", SANDBOX)
        nobody = "0x" + "00" * 20
        times = {"deadline": deadline, "reveal_until": deadline + 60, "draw_block": 0}
        counts = {"round": 1, "appeals": 0, "redrawn": False, "bond": 0, "at_risk": 0, "epoch": 1, "line": 0}
        state = DisputeState(
            1, nobody, phase=DisputePhase.VOTING, verdict=Verdict.NONE, accused=nobody, **times, **counts
        )
        return Bench(world.chain, world.domain, desk, Sources(source, mirrors)).judge(state).verdict

    with pytest.raises(Unreachable, match="not shown yet"):
        judged(now + 3600)
    assert judged(now + LAST_CALL) is Verdict.GUILTY
    assert judged(now + 3600, shelf) is judged(now + LAST_CALL, shelf) is Verdict.INNOCENT


def killed_while_archiving(world: LiveWorld, folder: Path) -> None:
    """SIGKILL, once the first file is there."""
    process = subprocess.Popen(command(world, "archive", str(folder), "--once"), stdout=subprocess.DEVNULL)
    until(lambda: next(folder.glob("v1/blobs/*"), None), 120)
    process.kill()
    process.wait(timeout=20)
    assert next(folder.glob("v1/blobs/*")).is_file()


def spoil(folder: Path, target: Path) -> Path:
    """An archive with a bit changed in the middle of each file."""
    shutil.copytree(folder, target)
    for file in target.glob("v1/**/*"):
        if file.is_file():
            data = bytearray(file.read_bytes())
            data[len(data) // 2] ^= 1
            if file.name == "submission":
                signed = SignedTrace.parse(file.read_bytes())
                last = "0" if signed.signature[64] == "1" else "1"
                signature = signed.signature[:64] + last + signed.signature[65:]
                data = bytearray(signed.model_copy(update={"signature": signature}).canonical())
            file.write_bytes(data)
    return target


def work(folder: Path) -> tuple[int, int]:
    """How many traces and completion tokens the submissions in an archive have."""
    shelf = Shelf(folder)
    bundles = [TraceBundle.parse(shelf.get_blob(one.bundle)) for one in submissions(folder)]
    traces = [trace for bundle in bundles for trace in bundle.traces]
    return len(traces), sum(len(trace.completion_ids) for trace in traces)


def garbled(world: LiveWorld, folder: Path, shelf: Shelf, before: list[tuple[AuditResult, ...]]) -> None:
    """A coordinator whose report is no message has shown none: that is its fault, unless somebody else shows it."""
    (folder / "v1/epochs/1").mkdir(parents=True)
    (folder / "v1/epochs/1/report").write_text("{")
    with served(folder) as url, Transport(url, patience=0) as liar:
        (line,) = audit_epoch(1, Sources(liar), world.chain)
        assert line.faults == ("report",)
        assert [line.findings for line in audit_epoch(1, Sources(liar, [shelf]), world.chain)] == before


def forgotten_in_time(world: LiveWorld, source: Transport, shelf: Shelf) -> None:
    sources = Sources(source, shelf=shelf)
    assert list(Archivist(world.chain, sources, shelf, keep_days=2).round()) == []
    assert shelf.line(1, 0) is not None
    world.anvil.pass_time(3 * 86_400)
    assert list(Archivist(world.chain, sources, shelf, keep_days=2).round()) == []
    assert shelf.line(1, 0) is None
    assert [file for file in shelf.root.glob("v1/**/*") if file.is_file()] == []
