// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { Disputes } from "../../src/Disputes.sol";
import { FraudProofs } from "../../src/FraudProofs.sol";
import { IDisputes } from "../../src/interfaces/IDisputes.sol";
import { ISettlement } from "../../src/interfaces/ISettlement.sol";
import { IVerifierPool } from "../../src/interfaces/IVerifierPool.sol";
import { Provenance } from "../../src/Provenance.sol";
import { Restitution } from "../../src/Restitution.sol";
import { VerifierPool } from "../../src/VerifierPool.sol";
import { Fixture } from "./Fixture.sol";
import { Merkle } from "./Merkle.sol";
import { SubmissionDigest } from "./SubmissionDigest.sol";

/// @title DisputeFixture
/// @notice Adds disputes to the network: alice accuses, bob settles, carol runs the worker with key 77, and a pool of
/// verifiers judges.
abstract contract DisputeFixture is Fixture {
    uint96 internal constant BOND = 200 ether;
    uint96 internal constant PENALTY = 800 ether;
    uint96 internal constant JUROR_STAKE = 50 ether;
    uint96 internal constant FEE = 1 ether;
    uint256 internal constant STAKE = 10_000 ether;
    uint256 internal constant WORKER_KEY = 77;
    bytes32 internal constant EVIDENCE = keccak256("evidence");
    uint256 internal constant ANSWER = 1 days;
    uint256 internal constant COMMIT = 6 hours;
    uint256 internal constant REVEAL = 5 hours;
    uint256 internal constant APPEAL = 12 hours;

    VerifierPool internal pool;
    Provenance internal provenance;
    Disputes internal disputes;
    FraudProofs internal fraud;
    Restitution internal restitution;
    bytes32 internal jobId;

    function setUp() public virtual override {
        super.setUp();
        pool = new VerifierPool(address(this), registry, poolDefaults());
        disputes = new Disputes(address(this), registry, settlement, pool, defaults());
        provenance = new Provenance(settlement, disputes);
        fraud = new FraudProofs(address(this), registry, settlement, provenance, PENALTY);
        restitution = new Restitution(settlement, provenance);
        settlement.grantRole(rewards.RESTITUTION_ROLE(), address(restitution));
        for (uint256 i = 0; i < 2; ++i) {
            address court = i == 0 ? address(disputes) : address(fraud);
            registry.grantRole(registry.SLASHER_ROLE(), court);
            settlement.grantRole(settlement.DISPUTES_ROLE(), court);
        }
        registry.grantRole(registry.SLASHER_ROLE(), address(pool));
        settlement.grantRole(settlement.SETTLER_ROLE(), bob);
        register(alice, STAKE);
        register(bob, STAKE);
        register(carol, STAKE);
        bind(carol, WORKER_KEY);
        jobId = fund(alice, 100_000, 1000);
    }

    function defaults() internal pure returns (IDisputes.Parameters memory) {
        return IDisputes.Parameters({
            bond: BOND,
            penalty: PENALTY,
            jurorStake: JUROR_STAKE,
            jurorFee: FEE,
            answerPeriod: uint32(ANSWER),
            commitPeriod: uint32(COMMIT),
            revealPeriod: uint32(REVEAL),
            appealPeriod: uint32(APPEAL),
            committeeSize: 3
        });
    }

    function poolDefaults() internal pure returns (IVerifierPool.Parameters memory) {
        return IVerifierPool.Parameters({ minJurors: 0, minWeight: 0, maxWeight: uint96(2 * STAKE) });
    }

    function jurorAt(uint256 index) internal pure returns (address) {
        return address(uint160(0x9000 + index));
    }

    function fillPool(uint256 count) internal {
        for (uint256 i = 0; i < count; ++i) {
            register(jurorAt(i), STAKE);
            vm.prank(jurorAt(i));
            pool.join();
        }
    }

    function proposeAsBob() internal returns (ISettlement.EpochContent memory content) {
        content = contentOf(jobId, 100, keccak256("root"));
        vm.prank(bob);
        settlement.proposeEpoch(content);
    }

    /// @dev Alice challenges the line of a fresh epoch of bob's.
    function openLineDispute() internal returns (uint256 id) {
        uint256 epoch = proposeAsBob().epoch;
        vm.prank(alice);
        return disputes.challengeLine(epoch, 0, EVIDENCE);
    }

    function submissionOf(uint256 key, uint256 first) internal view returns (IDisputes.Submission memory submission) {
        submission.lease = "lease-1";
        submission.tracesRoot = Merkle.root(Merkle.traces(first, 4));
        submission.count = 4;
        submission.signature = signature(key, submissionDigest(submission));
    }

    function submissionDigest(IDisputes.Submission memory submission) internal view returns (bytes32) {
        return SubmissionDigest.digestOf(submission, address(registry));
    }

    /// @dev Alice challenges a trace of carol's worker.
    function openTraceDispute(uint256 first) internal returns (uint256 id) {
        IDisputes.Submission memory submission = submissionOf(WORKER_KEY, first);
        bytes32[] memory proof = Merkle.proof(Merkle.traces(first, 4), 0);
        vm.prank(alice);
        return disputes.challengeTrace(submission, bytes32(first), proof, EVIDENCE);
    }

    function answerAs(address accused, uint256 id) internal {
        vm.prank(accused);
        disputes.answer(id, keccak256("answer"));
    }

    function drawNow(uint256 id) internal returns (address[] memory) {
        vm.roll(disputes.disputeOf(id).drawBlock + 1);
        disputes.draw(id);
        return disputes.committeeOf(id, disputes.disputeOf(id).round);
    }

    /// @dev Draws, votes and counts: jurors say guilty until so many seats have, the next innocent, the rest nothing.
    /// Seats of one juror vote as one, so that some of these may be more than asked for.
    function judge(uint256 id, uint256 guilty, uint256 innocent) internal {
        address[] memory committee = drawNow(id);
        vote(id, committee, guilty, innocent);
        vm.warp(disputes.disputeOf(id).revealUntil);
        disputes.tally(id);
    }

    function vote(uint256 id, address[] memory committee, uint256 guilty, uint256 innocent) internal {
        IDisputes.Verdict[] memory votes = new IDisputes.Verdict[](committee.length);
        uint256 round = disputes.disputeOf(id).round;
        uint256 said = 0;
        for (uint256 i = 0; i < committee.length && said < guilty + innocent; ++i) {
            votes[i] = said < guilty ? IDisputes.Verdict.Guilty : IDisputes.Verdict.Innocent;
            said += disputes.ballotOf(id, round, committee[i]).seats;
            commitAs(committee[i], id, votes[i]);
        }
        vm.warp(disputes.disputeOf(id).deadline);
        for (uint256 i = 0; i < committee.length; ++i) {
            if (votes[i] != IDisputes.Verdict.None) revealAs(committee[i], id, votes[i]);
        }
    }

    function commitAs(address juror, uint256 id, IDisputes.Verdict verdict) internal {
        bytes32 commitment = disputes.commitmentOf(id, disputes.disputeOf(id).round, juror, verdict, salt(juror));
        vm.prank(juror);
        disputes.commit(id, commitment);
    }

    function revealAs(address juror, uint256 id, IDisputes.Verdict verdict) internal {
        vm.prank(juror);
        disputes.reveal(id, verdict, salt(juror));
    }

    function salt(address juror) internal pure returns (bytes32) {
        return bytes32(uint256(uint160(juror)));
    }

    function afterAppealTime(uint256 id) internal {
        vm.warp(disputes.disputeOf(id).deadline);
        disputes.resolve(id);
    }

    function isPhase(uint256 id, IDisputes.Phase phase) internal view {
        eq(uint256(disputes.disputeOf(id).phase), uint256(phase), "phase");
    }

    /// @dev Nothing but the bonds of epochs.
    function nothingLocked(address owner) internal view {
        eq(registry.nodeOf(owner).locked, bondsOf(owner), "locked");
    }

    /// @dev What epochs of his with pending or disputed lines hold of a settler's stake.
    function bondsOf(address settler) internal view returns (uint256 sum) {
        uint256 next = settlement.nextEpoch();
        for (uint256 epoch = 1; epoch < next; ++epoch) {
            uint256 bond = settlement.bondOf(epoch);
            if (settlement.epochOf(epoch).proposer == settler) sum += bond;
        }
    }

    /// @dev A member of the pool whom no dispute holds.
    function onlyPoolHolds(address owner) internal view {
        eq(registry.nodeOf(owner).locked, pool.HOLD(), "held by the pool alone");
    }
}
