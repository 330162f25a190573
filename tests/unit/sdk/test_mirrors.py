"""Mirrors of whatever content: they add truth where the coordinator shows none, and nothing else, ever."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1net.audit import KeptLine, Shelf, Source, Sources, open_shelf
from r1net.audit.exhibits import Exhibits
from r1net.audit.reading import Reading
from r1net.audit.shelf import blob_path, submission_path
from r1net.audit.trained import training_fault
from r1net.errors import ProtocolError, R1Error, Refused, Unreachable
from r1net.protocol.canonical import Message, sha256
from r1net.protocol.job import JobView
from r1net.protocol.settlement import JobEpoch
from r1net.protocol.trace import SignedTrace
from tests.unit.sdk.test_auditing import DOMAIN, HONEST, JOB, SHOWN, SPEC, TASK, part, stated, trained

M = TypeVar("M", bound=Message)

LINE = part(HONEST)
STATED = stated()
OTHER = "0x" + "78" * 32
SIGNED = {shown.bundle.traces[0].digest(): shown.signature for shown in SHOWN.values()} | {
    STATED.statement.digest(): STATED.signature
}
BLOBS = {
    sha256(message.canonical()): message.canonical()
    for message in (*(shown.bundle for shown in SHOWN.values()), STATED.statement, TASK)
}


@dataclass
class Coordinator:
    """Shows what it wants to: `shows` says of a blob, a leaf or the specification's digest whether it does."""

    shows: Callable[[str], bool] = lambda _: True
    refusal: R1Error = field(default_factory=lambda: Refused("unknown", "there is none", status=404))
    asked: list[str] = field(default_factory=list)

    def get(self, path: str, kind: type[M]) -> M:
        name = path.split("/")[-2] if path.endswith("/submission") else SPEC.digest()
        self._ask(name)
        if kind is JobView:
            return JobView.model_construct(spec=SPEC)  # type: ignore[return-value]
        return SignedTrace.model_construct(signature=SIGNED[name])  # type: ignore[return-value]

    def get_blob(self, digest: str, most: int | None = None) -> bytes:
        self._ask(digest)
        return BLOBS[digest]

    def line(self) -> JobEpoch:
        self._ask(LINE.digest())
        return LINE

    def _ask(self, name: str) -> None:
        self.asked.append(name)
        if not self.shows(name):
            raise self.refusal


def everything(coordinator: Coordinator, sources: Sources) -> tuple[dict[str, Any], KeptLine]:
    """What an audit would read, or the kind of error that it would meet, by name; and what it notes."""
    reading = Reading(sources, DOMAIN, JOB)
    asks: dict[str, Callable[[], Any]] = {
        LINE.digest(): lambda: reading.own_line(coordinator.line, LINE.digest()),
        SPEC.digest(): lambda: reading.specification(SPEC.digest()),
        STATED.statement.digest() + " signed": lambda: reading.statement_signature(STATED.statement),
    }
    for digest in BLOBS:
        asks[digest] = lambda digest=digest: reading.blob(digest)
    for digest, shown in SHOWN.items():
        leaf = shown.bundle.traces[0].digest()
        asks[leaf + " signed"] = lambda digest=digest, shown=shown: reading.bundle_signature(digest, shown.bundle)
    found: dict[str, Any] = {}
    for name, ask in asks.items():
        try:
            found[name] = ask()
        except R1Error as error:
            found[name] = type(error)
    return found, reading.kept()


def archive(folder: Path) -> Shelf:
    """All of it, as an honest archive has it."""
    coordinator, shelf = Coordinator(), open_shelf(folder)
    _, kept = everything(coordinator, Sources(coordinator, shelf=shelf))
    assert kept.whole
    assert shelf.close(1, 0, kept)
    return shelf


TRUTH, KEPT = everything(Coordinator(), Sources(Coordinator()))
NAMES = sorted({LINE.digest(), SPEC.digest(), *BLOBS, *SIGNED})


def path_of(name: str) -> str:
    digest, *signed = name.split()
    return submission_path(JOB, digest) if signed else blob_path(digest)


def test_an_archive_shows_all_that_its_coordinator_showed(tmp_path: Path) -> None:
    shelf = archive(tmp_path)
    hidden = Coordinator(shows=lambda _: False)
    found, kept = everything(hidden, Sources(hidden, [shelf]))
    assert found == TRUTH
    assert kept.whole
    assert set(kept.paths) == {path_of(name) for name in TRUTH}
    assert shelf.size(kept) == sum(file.stat().st_size for file in tmp_path.glob("v1/**/*") if file.is_file())


def test_work_and_what_it_rests_on_are_had_from_an_archive(tmp_path: Path) -> None:
    """A statement with its signature, its task, and its slot's bundles with theirs."""
    hidden = Coordinator(shows=lambda _: False)
    exhibits = Exhibits(Reading(Sources(hidden, [archive(tmp_path)]), DOMAIN, JOB))
    assert exhibits.of(trained()) == STATED
    assert training_fault(trained(), STATED, DOMAIN) is None
    assert [exhibits.of(row) for row in LINE.contributions] == list(SHOWN.values())
    with pytest.raises(Refused):
        Exhibits(Reading(Sources(hidden), DOMAIN, JOB)).of(trained())


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("honest")
    archive(folder)
    return folder


DAMAGE = st.tuples(st.sampled_from(["flip", "cut", "swap", "empty", "gone", "folder"]), st.integers(0, 2**20))


def damage(file: Path, how: str, number: int, others: list[Path]) -> None:
    data = bytearray(file.read_bytes())
    if how == "flip":
        data[number % len(data)] ^= 1 << number % 8
        file.write_bytes(data)
    elif how == "cut":
        file.write_bytes(data[: number % len(data)])
    elif how == "swap":
        file.write_bytes(others[number % len(others)].read_bytes())
    elif how == "empty":
        file.write_bytes(b"")
    else:
        file.unlink()
        if how == "folder":
            file.mkdir()


@given(
    hidden=st.sets(st.sampled_from(NAMES)),
    damages=st.dictionaries(st.integers(0, len(TRUTH) - 1), DAMAGE, min_size=1),
    away=st.booleans(),
)
def test_a_mirror_of_changed_bytes_is_never_believed(
    honest: Path, hidden: set[str], damages: dict[int, tuple[str, int]], away: bool
) -> None:
    """Everything is as the coordinator alone would have it, or as it truly is; and true where the file is untouched.
    A coordinator that once didn't answer may be left alone then: an audit ends there, undecided."""
    refusal = Unreachable("away") if away else Refused("unknown", "there is none", status=404)
    coordinator = Coordinator(shows=lambda name: name not in hidden, refusal=refusal)
    alone, _ = everything(coordinator, Sources(coordinator))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(shutil.copytree(honest, Path(scratch) / "mirror"))
        files = sorted(file for file in folder.glob("v1/**/*") if file.is_file())
        for number, (how, where) in damages.items():
            if files[number].is_file():
                damage(files[number], how, where, [file for file in files if file.is_file()])
        for shelf in (None, Shelf(Path(scratch) / "own")):
            found, kept = everything(coordinator, Sources(coordinator, [Shelf(folder)], shelf))
            for name, value in found.items():
                assert value in (alone[name], TRUTH[name]) or (away and value is Unreachable)
                if _untouched(folder, honest, path_of(name)):
                    assert value == TRUTH[name]
            assert kept.whole == (found == TRUTH)
        for path in kept.paths:
            assert _untouched(Path(scratch) / "own", honest, path), "only the truth is kept"


def _untouched(folder: Path, honest: Path, path: str) -> bool:
    file = folder / path[1:]
    return file.is_file() and file.read_bytes() == (honest / path[1:]).read_bytes()


def test_a_lying_coordinator_is_put_right(tmp_path: Path) -> None:
    """It shows another line, specification and signature than the chain and the workers have."""
    honest = archive(tmp_path)
    false_line = LINE.model_copy(update={"amount": LINE.amount + 1})
    false_spec = SPEC.model_copy(update={"name": "another"})

    class Liar(Coordinator):
        def get(self, path: str, kind: type[M]) -> M:
            if kind is JobView:
                return JobView.model_construct(spec=false_spec)  # type: ignore[return-value]
            return SignedTrace.model_construct(signature="0x" + "11" * 65)  # type: ignore[return-value]

        def line(self) -> JobEpoch:
            return false_line

    liar = Liar()
    alone, noted = everything(liar, Sources(liar))
    assert (alone[LINE.digest()], alone[SPEC.digest()], noted.whole) == (false_line, false_spec, False)
    found, noted = everything(liar, Sources(liar, [honest]))
    assert (found, noted.whole) == (TRUTH, True)


def test_another_jobs_line_is_no_line_of_this_job(tmp_path: Path) -> None:
    """A settler names on chain, for one job, the digest of another's line, so as to pay its work twice: the coordinator
    can show no such line, and a mirror must not either."""
    shelf = open_shelf(tmp_path)
    assert shelf.keep(blob_path(LINE.digest()), LINE.canonical())
    nothing = Coordinator(shows=lambda _: False)
    for sources in (Sources(nothing, [shelf]), Sources(nothing, shelf=shelf)):
        reading = Reading(sources, DOMAIN, OTHER)
        with pytest.raises(Refused):
            reading.own_line(nothing.line, LINE.digest())
        assert not reading.kept().whole
        assert Reading(sources, DOMAIN, JOB).own_line(nothing.line, LINE.digest()) == LINE


def test_nothing_is_kept_of_a_line_that_the_chain_does_not_vouch_for(tmp_path: Path) -> None:
    """Its settler could name anything as its evidence, and so fill the disks of all who archive."""
    coordinator, shelf = Coordinator(), open_shelf(tmp_path)
    reading = Reading(Sources(coordinator, shelf=shelf), DOMAIN, JOB)
    reading.own_line(coordinator.line, "0x" + "99" * 32)
    for digest in BLOBS:
        reading.blob(digest)
    assert reading.kept() == KeptLine(job_id=JOB, whole=False, paths=())
    assert not list(tmp_path.glob("v1/**/*"))


def test_a_folder_that_takes_nothing_changes_no_finding(tmp_path: Path) -> None:
    coordinator = Coordinator()
    shelf = open_shelf(tmp_path)
    (tmp_path / "parts").write_text("in the way")
    found, kept = everything(coordinator, Sources(coordinator, shelf=shelf))
    assert (found, kept.whole) == (TRUTH, False)
    assert "can't be written" in (shelf.trouble or "")


def test_what_lies_there_is_not_asked_for_again(tmp_path: Path) -> None:
    coordinator = Coordinator()
    found, kept = everything(coordinator, Sources(coordinator, shelf=archive(tmp_path)))
    assert (found, kept.whole, coordinator.asked) == (TRUTH, True, [])


def test_who_does_not_answer_is_left_alone_for_a_while(tmp_path: Path) -> None:
    away = Coordinator(shows=lambda _: False, refusal=Unreachable("away"))
    mirrors: list[Source] = [Coordinator(shows=lambda _: False, refusal=Unreachable("away too")), archive(tmp_path)]
    found, _ = everything(away, Sources(away, mirrors))
    assert found == TRUTH
    assert [len(source.asked) for source in (away, mirrors[0]) if isinstance(source, Coordinator)] == [2, 1]


@given(st.one_of(st.text(), st.from_regex(r"/v1/(blobs|jobs)/[.0-9a-fx/]*\n?", fullmatch=True)))
def test_only_digests_make_file_names(path: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        shelf = open_shelf(Path(scratch) / "shelf")
        for act in (lambda: shelf.keep(path, b""), lambda: shelf.get(path, JobEpoch), lambda: shelf.get_blob(path)):
            with pytest.raises(ProtocolError, match="no path"):
                act()
        assert [file.name for file in Path(scratch).rglob("*")] == ["shelf"]


@pytest.mark.parametrize("name", ["../../../etc/passwd", "0x" + "AB" * 32, "0x" + "ab" * 32 + "/..", "0x" + "a" * 63])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    shelf = open_shelf(tmp_path)
    for path in (blob_path(name), submission_path(name, JOB), submission_path(JOB, name)):
        with pytest.raises(ProtocolError, match="no path"):
            shelf.keep(path, b"")


def test_a_file_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    shelf = open_shelf(tmp_path)
    data = b"x" * 1001
    assert shelf.keep(blob_path(sha256(data)), data)
    assert shelf.get_blob(sha256(data), 1001) == data
    with pytest.raises(ProtocolError, match="more than 1000 bytes"):
        shelf.get_blob(sha256(data), 1000)


def test_forgetting_leaves_what_others_take(tmp_path: Path) -> None:
    shelf = open_shelf(tmp_path)
    paths = []
    for data in (b"old", b"both", b"new"):
        paths.append(blob_path(sha256(data)))
        assert shelf.keep(paths[-1], data)
    assert shelf.close(1, 0, KeptLine(job_id=JOB, whole=True, paths=tuple(paths[:2])))
    assert shelf.close(2, 0, KeptLine(job_id=JOB, whole=True, paths=tuple(paths[1:])))
    assert shelf.forget(1) == 1
    assert (shelf.line(1, 0), shelf.forget(1)) == (None, 0)
    assert [(tmp_path / path[1:]).is_file() for path in paths] == [False, True, True]
    assert shelf.line(2, 0) is not None
