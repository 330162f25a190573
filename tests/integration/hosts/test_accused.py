"""A host is accused: it answers by itself, with what it signed if that can be had, and its person is told."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import pytest

from r1net.chain import Chain
from r1net.chain.disputes import DisputePhase, SignedSubmission
from r1net.errors import ChainError, UsageError
from r1net.protocol.merkle import StandardMerkleTree
from r1net.protocol.signing import Domain, submission_values
from r1net.transport import Transport
from r1node.defender import defended
from r1node.events import Events
from r1node.verification.defence import Defence
from tests.integration.chain.conftest import TEST_PARAMETERS, Anvil
from tests.integration.hosts.host import NOWHERE, Host
from tests.integration.waiting import until


def accuse(host: Host, chain: Chain, at: int = 1) -> int:
    """Somebody disputes a trace that the host's worker has signed for."""
    traces = StandardMerkleTree.of([("0x" + f"{n:064x}",) for n in range(4)], ["bytes32"])
    values = submission_values("lease-7", traces.root, 4)
    signature = Domain(chain.chain_id(), chain.registry.address).sign(host.worker, "Submission", values)
    signed = SignedSubmission("lease-7", traces.root, 4, signature)
    evidence = "0x" + f"{at:02x}" * 32
    return chain.disputes.challenge_trace(signed, "0x" + f"{at:064x}", traces.proof(at), evidence)


def defence_of(host: Host) -> Defence:
    """What `join` runs beside the work, with a coordinator that shows nothing."""
    domain = Domain(host.chain.chain_id(), host.chain.registry.address)
    source = Transport(NOWHERE, patience=0)
    return Defence(host.chain, source, domain, host.owner.address, host.folder)


def steps(defence: Defence) -> list[str]:
    return [turn.step for turn in defence.round()]


def test_who_can_show_nothing_answers_all_the_same_in_time(host: Host, chain: Chain, anvil: Anvil) -> None:
    defence = defence_of(host)
    assert steps(defence) == []
    number = accuse(host, chain)
    assert steps(defence) == ["accused", "unanswered"], "what was signed may still be shown"
    assert steps(defence) == [], "said once"
    anvil.pass_time(TEST_PARAMETERS.answer_period // 2 + 10)
    assert steps(defence) == ["answered"]
    assert chain.disputes.dispute(number).phase is DisputePhase.DRAWING
    (file,) = (host.folder / "disputes").iterdir()
    assert json.loads(file.read_bytes())["kind"] == "answer"
    assert steps(defence) == []


def test_a_worker_that_starts_later_finds_what_it_is_accused_of(host: Host, chain: Chain, anvil: Anvil) -> None:
    first, second = accuse(host, chain, 1), accuse(host, chain, 2)
    anvil.pass_time(TEST_PARAMETERS.answer_period // 2 + 10)
    turns = list(defence_of(host).round())
    assert [(turn.dispute, turn.step) for turn in turns] == [
        (number, step) for number in (first, second) for step in ("accused", "answered")
    ]
    assert f"{TEST_PARAMETERS.dispute_penalty // 10**18} R1 are at stake" in turns[0].words


def test_two_machines_of_one_owner_do_not_fall_over_each_other(host: Host, chain: Chain, anvil: Anvil) -> None:
    here, there = defence_of(host), defence_of(host)
    accuse(host, chain)
    assert [*steps(here), *steps(there)] == ["accused", "unanswered"] * 2
    anvil.pass_time(TEST_PARAMETERS.answer_period // 2 + 10)
    assert sorted([*steps(here), *steps(there)]) == ["answered"]


def test_a_lost_dispute_is_told_with_its_price(host: Host, chain: Chain, anvil: Anvil) -> None:
    defence = defence_of(host)
    number = accuse(host, chain)
    assert steps(defence) == ["accused", "unanswered"]
    anvil.pass_time(TEST_PARAMETERS.answer_period + 10)
    assert steps(defence) == [], "it can't be answered any more, and says the same"
    chain.disputes.resolve(number)
    (turn,) = defence.round()
    assert turn.step == "convicted"
    assert "of the stake" in turn.words
    assert steps(defence) == []


def test_status_shows_what_one_is_accused_of_before_all_else(host: Host, chain: Chain) -> None:
    number = accuse(host, chain)
    shown = host.ask("status")
    assert list(shown)[:2] == ["court", "disputes"]
    assert shown["court"].startswith("ACCUSED: 1 to answer")
    (row,) = shown["disputes"]
    assert (row["dispute"], row["part"], row["phase"]) == (number, "accused", "open")
    assert row["next_step"] == f"the accused answers: r1node answer {number}; after the deadline: r1node jury run"
    assert shown["workers"][0]["state"].startswith("not known: "), "the coordinator is away"
    assert f"r1node answer {number}" in host.read("status")


def test_by_hand_without_a_coordinator(host: Host, chain: Chain) -> None:
    number = accuse(host, chain)
    given = host.ask("answer", str(number), "--words", "I was right")
    assert given["dispute"] == number
    assert json.loads(Path(given["file"]).read_bytes())["words"] == "I was right"
    assert chain.disputes.dispute(number).phase is DisputePhase.DRAWING


def test_appeals_are_for_parties_of_decided_disputes(host: Host, chain: Chain) -> None:
    with pytest.raises(UsageError, match="there is no dispute 4000"):
        host.ask("appeal", "4000")
    number = accuse(host, chain)
    with pytest.raises(ChainError):
        host.ask("appeal", str(number))


def test_a_running_worker_answers_and_alerts(host: Host, chain: Chain, anvil: Anvil, tmp_path: Path) -> None:
    """As `join` does it, with a command that keeps what it is told."""
    heard, script = tmp_path / "heard", tmp_path / "alert.py"
    script.write_text(f"import sys\nopen({str(heard)!r}, 'a').write(sys.stdin.read() + '\\n')\n")
    events = Events(alert=f"{sys.executable} {script}")
    number = accuse(host, chain)
    anvil.pass_time(TEST_PARAMETERS.answer_period // 2 + 10)
    with defended(defence_of(host), host.folder, events):
        until(lambda: chain.disputes.dispute(number).phase is not DisputePhase.OPEN, 30)
        until(heard.exists, 30)
        events.close()
        names = [thread.name for thread in threading.enumerate()]
    assert "defence" in names
    (alert,) = map(json.loads, heard.read_text().splitlines())
    assert (alert["event"], alert["dispute"]) == ("accused", number)
