"""Money moves last, and once: what is refused is refused before, what is interrupted goes on, what is refused all the
same is closed. A real coordinator; the contracts' rules in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from r1net import R1, Client, JobRefused, NotAnnounced
from r1net.chain import Deployment, JobState
from r1net.errors import ChainError, Refused, UsageError
from r1net.local_files import LocalFiles
from r1net.protocol.canonical import sha256
from r1net.protocol.files import FileRef
from r1net.protocol.job import JobSpec, ModelRef, Prices, Verification
from r1net.submission import Submission
from tests.unit.coordinator.chain import FakeChain
from tests.unit.coordinator.jobs import CHAIN_ID, MODEL_FILES, REGISTRY, SUBMITTER_KEY, TOKEN, job_spec, key
from tests.unit.coordinator.network import World

GRACE = 1000
ESCROW = key(77).address


@dataclass
class Purse:
    """A submitter's view of the chain: escrow, token, coin. `after` runs once a job is created."""

    rules: FakeChain
    held: int = 10**9
    coin: int = 1
    after: Callable[[], None] | None = None
    digests: dict[str, str] = field(default_factory=dict)

    @property
    def escrow(self) -> Purse:
        return self

    @property
    def token(self) -> Purse:
        return self

    address = TOKEN

    def token_at(self, _address: str) -> Purse:
        return self

    def balance(self, _account: str) -> int:
        return self.held

    def coin_balance(self, _account: str) -> int:
        return self.coin

    def head(self) -> int:
        return self.rules.head()

    def close_grace(self) -> int:
        return GRACE

    def job(self, job_id: str) -> JobState:
        return self.rules.job(job_id)

    def close(self, job_id: str) -> None:
        self.rules.close(job_id)

    def create_job(self, _token: str, amount: int, _cap: int, digest: str) -> str:
        job_id = self.rules.fund(job_spec(budget=amount), len(self.digests) + 1)
        self.rules.jobs[job_id] = replace(self.rules.jobs[job_id], spec_digest=digest)
        self.digests[job_id] = digest
        after, self.after = self.after, None
        if after is not None:
            after()
        return job_id

    def find_job(self, _submitter: str, digest: str, _first_block: int) -> str | None:
        return next((job_id for job_id, one in self.digests.items() if one == digest), None)


@dataclass
class Desk:
    """A submitter's machine, whose programs may be started again."""

    world: World
    purse: Purse
    folder: Path
    files: Path
    client: Client = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Another program on the same machine."""
        self.client = Client("http://127.0.0.1:1", account=SUBMITTER_KEY)
        self.client.transport._http = self.world.http
        self.client.files = LocalFiles(self.files)
        contracts = {"NodeRegistry": REGISTRY, "R1Token": TOKEN, "JobEscrow": ESCROW}
        self.client.__dict__["deployment"] = Deployment(chain_id=CHAIN_ID, contracts=contracts, block=0)
        self.client.__dict__["chain"] = self.purse

    def submit(self, spec: JobSpec, note: Callable[[str], None] = lambda words: None) -> str:
        self.client.say = lambda words: note(words) if words.startswith("job ") else None
        return self.client.submit(spec, self.folder).job_id

    @property
    def waiting(self) -> list[str | None]:
        return [draft.job_id for draft in self.client._submission.pending]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.kill()


@pytest.fixture
def desk(world: World, tmp_path: Path) -> Iterator[Desk]:
    folder = tmp_path / "model"
    folder.mkdir()
    for name, data in MODEL_FILES.items():
        (folder / name).write_bytes(data)
    made = Desk(world, Purse(world.chain), folder, tmp_path / "files")
    yield made
    made.client.transport.close = lambda: None  # type: ignore[method-assign]


def broken(monkeypatch: pytest.MonkeyPatch, desk: Desk, method: str, path: str) -> None:
    """The coordinator stops answering at one request."""
    ask = desk.world.http.request

    def request(verb: str, target: str, **rest: Any) -> httpx.Response:
        if verb == method and target.startswith(path):
            raise httpx.ConnectError("gone")
        return ask(verb, target, **rest)

    monkeypatch.setattr(desk.world.http, "request", request)


def test_a_job_is_funded_announced_and_forgotten(desk: Desk) -> None:
    said: list[str] = []
    job_id = desk.submit(job_spec(), said.append)
    assert desk.world.job(job_id)["state"] == "running"
    assert (len(desk.purse.digests), desk.waiting) == (1, [])
    assert said == [f"job {job_id} is funded; if anything interrupts, the same again goes on with it"]
    assert desk.submit(job_spec()) != job_id, "who submits a job anew, when the first is under way, wants two"


def test_two_processes_at_once_are_one_job(desk: Desk) -> None:
    """The second one comes while the first has paid, and not told anybody yet."""
    refused: list[str] = []

    def again(_: str) -> None:
        with pytest.raises(UsageError, match="by another process") as caught:
            Submission(desk.client).submit(job_spec(), desk.folder, False)
        refused.append(caught.value.message)

    desk.submit(job_spec(), again)
    assert (len(refused), len(desk.purse.digests)) == (1, 1)


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/jobs"), ("PUT", "/v1/blobs/")])
@pytest.mark.parametrize("restarted", [False, True])
def test_twice_after_a_network_error_is_one_job(
    method: str, path: str, restarted: bool, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotAnnounced) as caught, monkeypatch.context() as patch:
        desk.submit(job_spec(), lambda words: broken(patch, desk, method, path))
    assert "do the same again" in (caught.value.hint or "")
    assert desk.waiting == [caught.value.job_id]
    if restarted:
        desk.start()
    assert desk.submit(job_spec()) == caught.value.job_id
    assert desk.world.job(caught.value.job_id)["state"] == "running"
    assert (len(desk.purse.digests), desk.waiting) == (1, [])


def interrupted() -> None:
    raise KeyboardInterrupt


def test_an_interruption_between_funding_and_knowing_it_costs_nothing(desk: Desk) -> None:
    """The job is on chain, and this machine has not heard its number."""
    desk.purse.after = interrupted
    with pytest.raises(KeyboardInterrupt):
        desk.submit(job_spec())
    assert desk.waiting == [None]
    desk.start()
    said: list[str] = []
    job_id = desk.submit(job_spec(), said.append)
    assert said == [f"job {job_id} was funded before: going on with it"]
    assert (len(desk.purse.digests), desk.waiting) == (1, [])


def test_an_id_is_enough_to_go_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotAnnounced) as caught, monkeypatch.context() as patch:
        desk.submit(job_spec(), lambda words: broken(patch, desk, "POST", "/v1/jobs"))
    desk.start()
    assert desk.client.announce(caught.value.job_id).view().state == "running"
    with pytest.raises(UsageError, match="nothing on this machine waits"):
        desk.client.announce(caught.value.job_id)


def test_a_job_that_was_given_up_is_not_gone_on_with(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotAnnounced) as caught, monkeypatch.context() as patch:
        desk.submit(job_spec(), lambda words: broken(patch, desk, "POST", "/v1/jobs"))
    desk.world.chain.close(caught.value.job_id)
    assert desk.submit(job_spec()) != caught.value.job_id


LURING = job_spec(prices=Prices(trained_token=10**3), verification=Verification())


def lure(desk: Desk) -> None:
    """So little is at stake that a lie would pay."""
    desk.world.services.ctx.risk.wei = 1


def test_what_the_coordinator_would_refuse_is_refused_before_it_is_paid(desk: Desk) -> None:
    lure(desk)
    with pytest.raises(Refused) as caught:
        desk.submit(LURING)
    assert (caught.value.code, caught.value.status) == ("cheating_pays", 422)
    assert (desk.purse.digests, desk.waiting) == ({}, [])


def test_what_it_refuses_all_the_same_is_closed(desk: Desk) -> None:
    desk.world.chain.time = 10**9
    with pytest.raises(JobRefused) as caught:
        desk.submit(LURING, lambda words: lure(desk))
    (job_id,) = desk.purse.digests
    assert desk.world.chain.jobs[job_id].closed_at == 10**9
    assert (caught.value.job_id, caught.value.refundable_at) == (job_id, 10**9 + GRACE)
    assert f"from 2001-09-09 02:03 UTC on: r1net refund {job_id}" in (caught.value.hint or "")
    assert "at stake" in caught.value.message
    assert desk.waiting == []


@pytest.mark.parametrize("status", [413, 422])
def test_a_proxy_s_refusal_ends_no_job(status: int, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page between says that it is too large: the coordinator hasn't heard of it, and the money waits."""
    ask = desk.world.http.request

    def request(verb: str, target: str, **rest: Any) -> httpx.Response:
        if (verb, target) == ("POST", "/v1/jobs"):
            return httpx.Response(status, text="<html>no</html>", headers={"Content-Type": "text/html"})
        return ask(verb, target, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(desk.world.http, "request", request)
        with pytest.raises(NotAnnounced):
            desk.submit(job_spec())
    (job_id,) = desk.purse.digests
    assert not desk.world.chain.jobs[job_id].closed_at
    assert desk.submit(job_spec()) == job_id, "the same again goes on with it"


def test_a_job_whose_files_do_not_fit_is_closed(desk: Desk) -> None:
    """What only the coordinator finds, once the files are there."""
    files = MODEL_FILES | {"config.json": b"nonsense"}
    (desk.folder / "config.json").write_bytes(b"nonsense")
    refs = {name: FileRef(sha256=sha256(data), size=len(data)) for name, data in files.items()}
    spec = job_spec(model=ModelRef(name="broken", files=refs))
    job_id = desk.purse.create_job(TOKEN, spec.budget, spec.budget, spec.digest())
    with pytest.raises(JobRefused, match="its files don't fit the job"):
        desk.client.announce(job_id, spec, desk.folder)
    assert desk.world.chain.jobs[job_id].closed_at


@pytest.mark.parametrize(
    ("change", "words"),
    [({"held": 10**9 - 1}, "the budget is 1,000,000,000 wei, but"), ({"coin": 0}, "has no coin to pay for gas")],
)
def test_an_account_that_cannot_pay_sends_nothing(change: dict[str, int], words: str, desk: Desk) -> None:
    for name, value in change.items():
        setattr(desk.purse, name, value)
    with pytest.raises(ChainError, match=words):
        desk.submit(job_spec())
    assert (desk.purse.digests, desk.waiting) == ({}, [])


def test_what_makes_no_sense_never_reaches_the_coordinator(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, desk, "POST", "/")
    with pytest.raises(UsageError, match="may cost"):
        desk.submit(job_spec(prices=Prices(rollout_token=R1)))


def test_the_coordinator_goes_by_the_same_rules(world: World) -> None:
    answers = {
        name: world.http.post("/v1/jobs/check", content=job_spec(**change).model_dump_json())
        for name, change in {
            "fine": {},
            "budget_too_small": {"prices": Prices(rollout_token=R1)},
            "bad_name": {"name": " "},
        }.items()
    }
    assert answers.pop("fine").status_code == 204
    assert {name: answer.json()["code"] for name, answer in answers.items()} == {name: name for name in answers}
    assert world.http.post("/v1/jobs/check", content=b"{}").status_code == 422
    assert world.http.get("/v1/jobs").json() == []
