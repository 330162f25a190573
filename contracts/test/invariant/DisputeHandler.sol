// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { Disputes } from "../../src/Disputes.sol";
import { IDisputes } from "../../src/interfaces/IDisputes.sol";
import { INodeRegistry } from "../../src/interfaces/INodeRegistry.sol";
import { ISettlement } from "../../src/interfaces/ISettlement.sol";
import { NodeRegistry } from "../../src/NodeRegistry.sol";
import { Settlement } from "../../src/Settlement.sol";
import { VerifierPool } from "../../src/VerifierPool.sol";
import { Merkle } from "../helpers/Merkle.sol";
import { SubmissionDigest } from "../helpers/SubmissionDigest.sol";
import { TestBase } from "../helpers/TestBase.sol";

/// @notice Random disputes over random epochs, taken one random step at a time. Plays everybody.
contract DisputeHandler is TestBase {
    uint256 public constant OWNERS = 16;

    Disputes public immutable disputes;
    Settlement public immutable settlement;
    NodeRegistry public immutable registry;
    VerifierPool public immutable pool;
    bytes32[2] public jobs;

    /// @dev ABI-encoded, because the compiler does not copy nested arrays to storage.
    bytes[] private _contents;
    uint256 public resolved;
    mapping(uint256 disputeId => bool) public accusedHeld;
    mapping(address owner => bool) public left;

    constructor(Disputes disputes_, bytes32[2] memory jobs_) {
        disputes = disputes_;
        settlement = Settlement(address(disputes_.settlement()));
        registry = disputes_.registry();
        pool = VerifierPool(address(disputes_.pool()));
        jobs = jobs_;
    }

    function ownerAt(uint256 index) public pure returns (address) {
        return address(uint160(0x3000 + index % OWNERS));
    }

    function keyAt(uint256 index) public pure returns (uint256) {
        return 0x77000 + index % OWNERS;
    }

    /// @dev Members leave, come back, leave the network and come back to that, at any time, draws pending or not.
    function comeAndGo(uint256 who, uint256 choice) external {
        address owner = ownerAt(who);
        vm.startPrank(owner);
        if (choice % 4 == 0 && pool.contains(owner)) {
            pool.quit();
            left[owner] = true;
        } else if (choice % 4 == 1 && !pool.contains(owner)) {
            try pool.join() {
                left[owner] = false;
            } catch { }
        } else if (choice % 4 == 2) {
            bool was = pool.contains(owner);
            try registry.deactivate() { } catch { }
            pool.update(owner);
            if (was && !pool.contains(owner)) left[owner] = true;
        } else if (registry.nodeOf(owner).exitAt != 0) {
            try registry.reactivate() { } catch { }
        }
        vm.stopPrank();
    }

    /// @dev One of eight traces that owners' workers signed for, alone in its submission.
    function challengeTrace(uint256 who, uint256 which, uint256 evidence) external {
        IDisputes.Submission memory submission;
        bytes32 trace = bytes32(which % 8 + 1);
        submission.lease = "lease";
        submission.count = 1;
        submission.tracesRoot = Merkle.traceLeaf(trace);
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(keyAt(which), SubmissionDigest.digestOf(submission, address(registry)));
        submission.signature = abi.encodePacked(r, s, v);
        uint256 before = registry.nodeOf(ownerAt(which)).locked;
        vm.prank(ownerAt(who));
        try disputes.challengeTrace(submission, trace, new bytes32[](0), bytes32(evidence % 4)) returns (uint256 id) {
            accusedHeld[id] = registry.nodeOf(ownerAt(which)).locked > before;
        } catch { }
    }

    function propose(uint256 who) external {
        address settler = ownerAt(who % 2);
        if (settlement.suspended(settler) && who % 3 == 0) settlement.reinstate(settler);
        if (settlement.nextEpoch() > 12 || settlement.suspended(settler) || !registry.isActive(settler)) return;
        INodeRegistry.Node memory node = registry.nodeOf(settler);
        if (node.stake == node.locked) return;
        ISettlement.EpochContent memory content;
        content.epoch = settlement.nextEpoch();
        content.jobs = new ISettlement.JobSettlement[](2);
        for (uint256 i = 0; i < 2; ++i) {
            content.jobs[i] = ISettlement.JobSettlement(jobs[i], 1, keccak256("root"), 0, keccak256("traces"), 1, 0, 0);
        }
        _contents.push(abi.encode(content));
        vm.prank(settler);
        settlement.proposeEpoch(content);
    }

    function challenge(uint256 who, uint256 which) external {
        if (settlement.nextEpoch() == 1) return;
        uint256 epoch = 1 + which % (settlement.nextEpoch() - 1);
        address accused = settlement.epochOf(epoch).proposer;
        uint256 before = registry.nodeOf(accused).locked;
        vm.prank(ownerAt(who));
        // May fail for good reasons: too late, no free stake, one's own epoch, this evidence was heard.
        try disputes.challengeLine(epoch, which % 2, bytes32(which % 7)) returns (uint256 id) {
            accusedHeld[id] = registry.nodeOf(accused).locked > before;
        } catch { }
    }

    /// @dev Takes whatever step a dispute allows; a step that is due must not fail.
    function step(uint256 which, uint256 choice) external {
        if (disputes.disputeCount() == 0) return;
        uint256 id = 1 + which % disputes.disputeCount();
        IDisputes.Dispute memory dispute = disputes.disputeOf(id);
        if (dispute.phase == IDisputes.Phase.Open) _open(id, dispute, choice);
        else if (dispute.phase == IDisputes.Phase.Drawing) _draw(id, dispute);
        else if (dispute.phase == IDisputes.Phase.Voting) _vote(id, dispute, choice);
        else if (dispute.phase == IDisputes.Phase.Decided) _decided(id, dispute, choice);
        if (disputes.disputeOf(id).phase == IDisputes.Phase.Resolved && dispute.phase != IDisputes.Phase.Resolved) {
            ++resolved;
        }
    }

    function finalise(uint256 which) external {
        if (_contents.length == 0) return;
        ISettlement.EpochContent memory content =
            abi.decode(_contents[which % _contents.length], (ISettlement.EpochContent));
        ISettlement.Epoch memory before = settlement.epochOf(content.epoch);
        try settlement.finaliseEpoch(content) {
            uint64 fresh = settlement.epochOf(content.epoch).paid & ~before.paid;
            check(
                fresh & before.disputed == 0 && block.timestamp >= before.finalisableAt, "paid while disputed or early"
            );
        } catch { }
    }

    function wait(uint256 duration) external {
        skip(bound(duration, 1, 12 hours));
        vm.roll(block.number + bound(duration, 1, 300));
    }

    function _open(uint256 id, IDisputes.Dispute memory dispute, uint256 choice) private {
        if (block.timestamp >= dispute.deadline) {
            disputes.resolve(id);
        } else if (choice % 4 != 0) {
            vm.prank(dispute.accused);
            disputes.answer(id, keccak256("answer"));
        }
    }

    function _draw(uint256 id, IDisputes.Dispute memory dispute) private {
        if (block.number <= dispute.drawBlock) vm.roll(dispute.drawBlock + 1);
        disputes.draw(id);
    }

    function _vote(uint256 id, IDisputes.Dispute memory dispute, uint256 choice) private {
        address[] memory committee = disputes.committeeOf(id, dispute.round);
        address juror = committee[choice % committee.length];
        IDisputes.Ballot memory ballot = disputes.ballotOf(id, dispute.round, juror);
        // The vote is a function of dispute and juror, so that it can be revealed without being kept.
        IDisputes.Verdict vote = IDisputes.Verdict(1 + uint256(keccak256(abi.encode(id, dispute.round, juror))) % 2);
        if (block.timestamp < dispute.deadline) {
            if (ballot.commitment != 0) return;
            bytes32 commitment = disputes.commitmentOf(id, dispute.round, juror, vote, 0);
            vm.prank(juror);
            disputes.commit(id, commitment);
        } else if (block.timestamp < dispute.revealUntil) {
            if (ballot.commitment == 0 || ballot.vote != IDisputes.Verdict.None) return;
            vm.prank(juror);
            disputes.reveal(id, vote, 0);
        } else {
            disputes.tally(id);
        }
    }

    function _decided(uint256 id, IDisputes.Dispute memory dispute, uint256 choice) private {
        if (block.timestamp >= dispute.deadline) {
            disputes.resolve(id);
        } else if (choice % 2 == 0) {
            vm.prank(dispute.verdict == IDisputes.Verdict.Guilty ? dispute.accused : dispute.challenger);
            try disputes.appeal(id) { } catch { }
        }
    }

    /// @dev Nobody helps any more: only the steps that anyone may take, only after their time. All disputes must end.
    function windUp() external {
        for (uint256 id = 1; id <= disputes.disputeCount(); ++id) {
            // Twice as many as the longest dispute takes: each of four committees is drawn and counted.
            for (uint256 steps = 0; steps < 24; ++steps) {
                IDisputes.Dispute memory dispute = disputes.disputeOf(id);
                if (dispute.phase == IDisputes.Phase.Resolved) break;
                skip(1 days);
                if (dispute.phase == IDisputes.Phase.Drawing) {
                    if (block.number <= dispute.drawBlock) vm.roll(dispute.drawBlock + 1);
                    disputes.draw(id);
                } else if (dispute.phase == IDisputes.Phase.Voting) {
                    disputes.tally(id);
                } else {
                    disputes.resolve(id);
                }
            }
            check(disputes.disputeOf(id).phase == IDisputes.Phase.Resolved, "no dispute can stick");
        }
    }
}
