"""One store for all workers: what is held stays, what isn't makes room, and a download is made once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from r1net.protocol.canonical import sha256
from r1net.protocol.job import JobSpec
from r1net.transport import TEMPORARY, Transport
from r1node.blobs import BlobCache
from r1node.store import NoRoom, Store


@dataclass(frozen=True)
class Files:
    """The part of a job's spec that a store looks at."""

    data: tuple[bytes, ...]

    @property
    def files(self) -> dict[str, int]:
        return {sha256(one): len(one) for one in self.data}

    @property
    def spec(self) -> JobSpec:
        return cast(JobSpec, self)


@dataclass
class Source:
    """Blobs that take a while to come."""

    blobs: dict[str, bytes]
    pause: float = 0.0
    asked: list[str] = field(default_factory=list)

    def fetch_blob(self, digest: str, path: Path, _size: int | None) -> None:
        self.asked.append(digest)
        time.sleep(self.pause)
        path.write_bytes(self.blobs[digest])


def bring(store: Store, job: Files) -> None:
    """What opening a job does."""
    store.claim(job.spec)
    source = Source({sha256(one): one for one in job.data})
    path_of = store.files(job.spec, cast(Transport, source))
    for digest in job.files:
        path_of(digest)


def there(store: Store, job: Files) -> bool:
    return all(store.blobs.has(digest) for digest in job.files)


def job(name: str, size: int = 1000) -> Files:
    return Files((f"{name} config".encode(), name.encode() * (size // len(name))))


def test_what_was_used_longest_ago_makes_room(tmp_path: Path) -> None:
    store = Store(tmp_path, limit=2500)
    first, second, third = job("first"), job("second"), job("third")
    for number, one in enumerate((first, second)):
        bring(store, one)
        for digest in one.files:
            os.utime(store.blobs.path(digest), (number, number))
    store.release()
    store.claim(first.spec)
    store.release()
    bring(store, third)
    assert (there(store, first), there(store, second), there(store, third)) == (True, False, True)


def test_what_another_process_holds_stays_until_it_dies(tmp_path: Path) -> None:
    held, wanted = job("held"), job("wanted")
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[2]); from pathlib import Path\n"
        "from tests.unit.node.test_store import bring, job; from r1node.store import Store\n"
        "store = Store(Path(sys.argv[1]), 1500); bring(store, job('held')); print('held', flush=True); time.sleep(600)"
    )
    root = str(Path(__file__).parents[3])
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), root], stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    store = Store(tmp_path, 1500)
    with pytest.raises(NoRoom, match="more than there are"):
        bring(store, wanted)
    assert there(store, held)
    other.kill()
    other.communicate()
    bring(store, wanted)
    assert (there(store, held), there(store, wanted)) == (False, True)
    assert len(list((tmp_path / "held").iterdir())) == 1, "the dead process's list is gone"


def test_a_job_that_can_never_fit_clears_nothing_that_is_held(tmp_path: Path) -> None:
    store = Store(tmp_path, 1500)
    small = job("small")
    bring(store, small)
    with pytest.raises(NoRoom):
        store.claim(job("huge", 10_000).spec)
    assert there(store, small)
    with pytest.raises(NoRoom):
        Store(tmp_path, None).claim(cast(JobSpec, Vast()))


@dataclass(frozen=True)
class Vast:
    """What a stranger may claim."""

    files: dict[str, int] = field(default_factory=lambda: {"0x" + "ab" * 32: 10**18})


def test_workers_that_want_the_same_file_download_it_once(tmp_path: Path) -> None:
    digest = sha256(b"weights")
    source = Source({digest: b"weights"}, pause=0.3)
    stores = [Store(tmp_path) for _ in range(4)]
    threads = [Thread(target=store.blobs.fetch, args=(digest, source)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert source.asked == [digest]


def test_what_a_killed_download_left_is_removed(tmp_path: Path) -> None:
    cache, data = BlobCache(tmp_path), b"weights"
    left = cache.path(sha256(data)).parent / f"{TEMPORARY}left"
    left.parent.mkdir()
    left.write_bytes(b"half of a large")
    assert cache.newest() == []
    cache.add(data)
    assert not left.exists()


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.booleans()), max_size=25))
def test_the_limit_holds_and_nothing_held_is_missing(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, bool]]
) -> None:
    root = tmp_path_factory.mktemp("store")
    stores, holding = [Store(root, 3000) for _ in range(3)], [set[int]() for _ in range(3)]
    jobs = [job(f"job {number}", 700 + 100 * number) for number in range(6)]
    for who, which, release in steps:
        if release:
            stores[who].release()
            holding[who].clear()
        else:
            try:
                bring(stores[who], jobs[which])
                holding[who].add(which)
            except NoRoom:
                continue
        held = set().union(*holding)
        assert all(there(stores[0], jobs[number]) for number in held)
        sizes = [stores[0].blobs.path(digest).stat().st_size for digest in stores[0].blobs.newest()]
        assert sum(sizes) <= 3000
