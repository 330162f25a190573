"""The juror's part on a real chain: drawn, committed, restarted, revealed, and every step that is due."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from eth_account import Account

from r1net.chain import Chain
from r1net.chain.disputes import DisputePhase, DisputeState, SignedSubmission, Verdict
from r1net.errors import PreflightError, Unreachable
from r1net.protocol.merkle import StandardMerkleTree
from r1net.protocol.signing import Domain, submission_values
from r1node.cli.jury import sit
from r1node.events import Events
from r1node.verification.ballots import BallotBox
from r1node.verification.juror import Judge, Judgement, Juror
from tests.integration.waiting import until

from .conftest import COIN, TEST_PARAMETERS, Anvil

EVIDENCE = "0x" + "ee" * 32
TRACE = "0x" + "07" * 32
STAKE = 2_000 * COIN


def new_node(anvil: Anvil, chain: Chain) -> Chain:
    account = Account.create()
    anvil.fund(account.address)
    chain.token.transfer(account.address, STAKE)
    node = Chain.connect(anvil.url, chain.deployment, account)
    node.registry.register(STAKE)
    return node


def owner(chain: Chain) -> str:
    assert chain.account is not None
    return str(chain.account.address)


def accuse(chain: Chain, accused: Chain, challenger: Chain) -> int:
    worker = Account.create()
    accused.registry.bind_worker(worker)
    tree = StandardMerkleTree.of([(TRACE,)], ["bytes32"])
    domain = Domain(chain.chain_id(), chain.registry.address)
    signature = domain.sign(worker, "Submission", submission_values("lease", tree.root, 1))
    submission = SignedSubmission("lease", tree.root, 1, signature)
    return challenger.disputes.challenge_trace(submission, TRACE, tree.proof(0), EVIDENCE)


@pytest.fixture
def box_folder(tmp_path: Path) -> Path:
    return tmp_path / "disputes"


class Bench:
    """Counts how often it is asked."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict, self.asked = verdict, 0

    def judge(self, state: DisputeState) -> Judgement:
        self.asked += 1
        return Judgement(self.verdict, "as the test wants it")


def steps(juror: Juror) -> list[str]:
    return [step.step for step in juror.round()]


def judge_one(juror: Juror) -> str | None:
    step = juror.deliberate()
    return None if step is None else step.step


def test_a_juror_sees_a_dispute_through(anvil: Anvil, chain: Chain, box_folder: Path) -> None:
    accused, challenger, node = (new_node(anvil, chain) for _ in range(3))
    node.pool.join()
    number = accuse(chain, accused, challenger)
    bench = Bench(Verdict.GUILTY)

    def start() -> Juror:
        box = BallotBox(box_folder, chain.chain_id(), chain.disputes.address)
        return Juror(node, owner(node), box, bench.judge)

    assert steps(start()) == [], "the accused may still answer"
    accused.disputes.answer(number, EVIDENCE)
    anvil.rpc("anvil_mine", "0x3")
    assert steps(start()) == ["draw"]
    assert judge_one(start()) is None, "nobody has asked for a judgement"
    juror = start()
    assert (steps(juror), judge_one(juror)) == ([], "judged")
    assert steps(start()) == ["commit"], "a juror that was restarted still knows its vote"
    assert steps(start()) == [], "nothing to do before the reveals"
    anvil.pass_time(TEST_PARAMETERS.commit_period)
    assert steps(start()) == ["reveal"], "a juror that was restarted still knows the salt"
    assert bench.asked == 1
    anvil.pass_time(TEST_PARAMETERS.reveal_period)
    assert steps(start()) == ["tally"]
    anvil.pass_time(TEST_PARAMETERS.appeal_period)
    assert steps(start()) == ["resolve"]
    assert steps(start()) == []
    state = chain.disputes.dispute(number)
    assert (state.phase, state.verdict) == (DisputePhase.RESOLVED, Verdict.GUILTY)
    assert chain.registry.stake_of(owner(accused)) == STAKE - TEST_PARAMETERS.dispute_penalty


def test_a_vote_that_did_not_arrive_is_sent_again(anvil: Anvil, chain: Chain, box_folder: Path) -> None:
    """The vote is on disk before it is committed: a juror that died in between votes the same."""
    accused, challenger, node = (new_node(anvil, chain) for _ in range(3))
    node.pool.join()
    number = accuse(chain, accused, challenger)
    accused.disputes.answer(number, EVIDENCE)
    box = BallotBox(box_folder, chain.chain_id(), chain.disputes.address)
    kept = box.keep(number, 0, Verdict.INNOCENT, "decided before the crash")
    bench = Bench(Verdict.GUILTY)
    juror = Juror(node, owner(node), box, bench.judge)
    anvil.rpc("anvil_mine", "0x3")
    assert [steps(juror), steps(juror)] == [["draw"], ["commit"]]
    anvil.pass_time(TEST_PARAMETERS.commit_period)
    assert steps(juror) == ["reveal"]
    assert bench.asked == 0
    assert chain.disputes.ballot(number, 0, owner(node)).vote is kept.verdict


def test_who_is_not_drawn_only_takes_the_open_steps(anvil: Anvil, chain: Chain, box_folder: Path) -> None:
    accused, challenger, bystander = (new_node(anvil, chain) for _ in range(3))
    number = accuse(chain, accused, challenger)
    bench = Bench(Verdict.GUILTY)
    box = BallotBox(box_folder, chain.chain_id(), chain.disputes.address)
    juror = Juror(bystander, owner(bystander), box, bench.judge)
    anvil.pass_time(TEST_PARAMETERS.answer_period)
    assert steps(juror) == ["resolve"], "no answer came"
    assert chain.disputes.dispute(number).verdict is Verdict.GUILTY
    assert bench.asked == 0


def test_what_fails_in_one_dispute_stops_no_other(anvil: Anvil, chain: Chain, box_folder: Path) -> None:
    accused, challenger, node = (new_node(anvil, chain) for _ in range(3))
    node.pool.join()
    numbers = [accuse(chain, accused, challenger) for _ in range(2)]
    for number in numbers:
        accused.disputes.answer(number, EVIDENCE)

    def judge(state: DisputeState) -> Judgement:
        if state.dispute_id == numbers[0]:
            raise PreflightError("no memory for this model")
        return Judgement(Verdict.INNOCENT, "as the test wants it")

    juror = Juror(node, owner(node), BallotBox(box_folder, chain.chain_id(), chain.disputes.address), judge)
    anvil.rpc("anvil_mine", "0x3")
    assert steps(juror) == ["draw", "draw"]
    assert steps(juror) == []
    assert (judge_one(juror), steps(juror)) == ("failed", [])
    assert judge_one(juror) == "judged", "what failed once comes after what was not tried"
    assert (judge_one(juror), steps(juror)) == ("failed", ["commit"])


class Docket:
    """Two disputes in which a juror is drawn, the first of which ends its commit period before the second."""

    def __init__(self, anvil: Anvil, chain: Chain) -> None:
        self.anvil = anvil
        self.accused, self.challenger, self.node = (new_node(anvil, chain) for _ in range(3))
        self.node.pool.join()
        self.numbers = [self.open(chain)]
        anvil.pass_time(TEST_PARAMETERS.commit_period // 2)
        self.numbers.append(self.open(chain))

    def open(self, chain: Chain) -> int:
        """A dispute with a committee."""
        number = accuse(chain, self.accused, self.challenger)
        self.accused.disputes.answer(number, EVIDENCE)
        self.anvil.rpc("anvil_mine", "0x3")
        self.node.disputes.draw(number)
        return number

    def juror(self, box_folder: Path, judge: Judge) -> Juror:
        """The juror who is drawn in both."""
        box = BallotBox(box_folder, self.node.chain_id(), self.node.disputes.address)
        return Juror(self.node, owner(self.node), box, judge)


def test_a_juror_who_judges_one_dispute_votes_in_another(anvil: Anvil, chain: Chain, box_folder: Path) -> None:
    """It would lose its stake in the one for thinking about the other."""
    docket = Docket(anvil, chain)
    first, second = docket.numbers
    busy, released = threading.Event(), threading.Event()

    def judge(state: DisputeState) -> Judgement:
        if state.dispute_id == second:
            busy.set()
            released.wait()
        return Judgement(Verdict.INNOCENT, "as the test wants it")

    juror = docket.juror(box_folder, judge)
    thinking = threading.Thread(target=lambda: [juror.deliberate() for _ in range(2)], daemon=True)
    assert steps(juror) == []
    thinking.start()
    busy.wait()  # by now the first one, which was more urgent, is judged, and the second one is being judged
    assert steps(juror) == ["commit"]
    anvil.pass_time(TEST_PARAMETERS.commit_period // 2 + 1)
    assert steps(juror) == ["reveal"]
    assert chain.disputes.ballot(first, 0, owner(docket.node)).vote is Verdict.INNOCENT
    assert thinking.is_alive()
    released.set()
    thinking.join()
    assert steps(juror) == ["commit"], "nor is it too late in the one that took long"
    anvil.pass_time(TEST_PARAMETERS.commit_period // 2)
    assert steps(juror) == ["reveal"]
    anvil.pass_time(TEST_PARAMETERS.reveal_period)
    assert steps(juror) == ["tally", "tally"]
    anvil.pass_time(TEST_PARAMETERS.appeal_period)
    assert steps(juror) == ["resolve", "resolve"]
    assert chain.registry.stake_of(owner(docket.node)) == STAKE


def test_the_command_votes_while_it_judges_and_ends_at_once(anvil: Anvil, chain: Chain, box_folder: Path) -> None:
    """Ctrl-C comes while a dispute is being judged, and another one's vote has been committed to meanwhile."""
    docket = Docket(anvil, chain)
    first, second = docket.numbers

    def judge(state: DisputeState) -> Judgement:
        if state.dispute_id == second:
            until(lambda: chain.disputes.ballot(first, 0, owner(docket.node)).commitment, 60)
            raise KeyboardInterrupt
        return Judgement(Verdict.INNOCENT, "as the test wants it")

    juror = docket.juror(box_folder, judge)
    with pytest.raises(KeyboardInterrupt):
        sit(juror, Events())
    assert "jury" not in {thread.name for thread in threading.enumerate()}
    box = BallotBox(box_folder, chain.chain_id(), chain.disputes.address)
    assert [box.get(number, 0) is None for number in docket.numbers] == [False, True]


def test_the_command_ends_when_its_watch_does(anvil: Anvil, chain: Chain, box_folder: Path) -> None:
    """A juror that watches no more loses its stake without knowing."""
    docket = Docket(anvil, chain)
    juror = docket.juror(box_folder, Bench(Verdict.INNOCENT).judge)
    box_folder.mkdir()
    BallotBox(box_folder, chain.chain_id(), chain.disputes.address).keep(docket.numbers[0], 0, Verdict.GUILTY, "why")
    (ballots,) = box_folder.iterdir()
    ballots.write_text('{"1/0": {}}')
    with pytest.raises(KeyError):
        sit(juror, Events())


def test_what_can_not_be_committed_to_any_more_is_not_judged(anvil: Anvil, chain: Chain, box_folder: Path) -> None:
    docket = Docket(anvil, chain)
    judged: list[int] = []

    def judge(state: DisputeState) -> Judgement:
        judged.append(state.dispute_id)
        return Judgement(Verdict.INNOCENT, "as the test wants it")

    juror = docket.juror(box_folder, judge)
    assert steps(juror) == []
    anvil.pass_time(TEST_PARAMETERS.commit_period // 2 + 1)
    assert (judge_one(juror), judge_one(juror)) == ("judged", None)
    assert judged == docket.numbers[1:], "the first one's commit period is over"


def test_a_coordinator_that_is_away_is_asked_again(anvil: Anvil, chain: Chain, box_folder: Path) -> None:
    docket = Docket(anvil, chain)
    away = [Unreachable("the coordinator does not answer")]

    def judge(_: DisputeState) -> Judgement:
        if away:
            raise away.pop()
        return Judgement(Verdict.INNOCENT, "as the test wants it")

    juror = docket.juror(box_folder, judge)
    assert steps(juror) == []
    with pytest.raises(Unreachable):
        juror.deliberate()
    assert judge_one(juror) == "judged"
    assert steps(juror) == ["commit"]
    assert judge_one(juror) == "judged"
    assert steps(juror) == ["commit"]


def test_ballots_are_private(box_folder: Path) -> None:
    box = BallotBox(box_folder, 1, "0x" + "ab" * 20)
    first, second = box.keep(1, 0, Verdict.GUILTY, "why"), box.keep(1, 1, Verdict.INNOCENT, "why not")
    assert first.salt != second.salt
    assert (box.get(1, 0), box.get(1, 1), box.get(2, 0)) == (first, second, None)
    files = list(box_folder.iterdir())
    assert len(files) == 1
    assert files[0].stat().st_mode & 0o777 == 0o600
    assert set(json.loads(files[0].read_text())) == {"1/0", "1/1"}
