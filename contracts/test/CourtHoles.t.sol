// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IDisputes } from "../src/interfaces/IDisputes.sol";
import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { DisputeFixture } from "./helpers/DisputeFixture.sol";
import { Merkle } from "./helpers/Merkle.sol";

/// @dev Ways in which the court once let a thief go, paid liars, or could be used against the honest: none pays now.
contract CourtHolesTest is DisputeFixture {
    function theft() private returns (ISettlement.EpochContent memory content) {
        content = contentOf(jobId, 1000, Merkle.rewardLeaf(0, bob, 1000));
        vm.prank(bob);
        settlement.proposeEpoch(content);
    }

    function challengedTheft() private returns (ISettlement.EpochContent memory content, uint256 id) {
        content = theft();
        vm.prank(alice);
        id = disputes.challengeLine(content.epoch, 0, EVIDENCE);
        answerAs(bob, id);
    }

    function nothingStolen(ISettlement.EpochContent memory content) private {
        skip(WINDOW);
        nothingToPay(content);
        eq(registry.nodeOf(alice).stake, STAKE, "who accused a thief loses nothing");
        nothingLocked(alice);
    }

    function test_anEmptyPoolLetsNoTheftThrough() public {
        (ISettlement.EpochContent memory content, uint256 id) = challengedTheft();
        drawNow(id);
        nothingStolen(content);
    }

    function test_onePuppetJurorCannotAcquit() public {
        fillPool(1);
        (ISettlement.EpochContent memory content, uint256 id) = challengedTheft();
        judge(id, 0, 1);
        vm.prank(alice);
        disputes.appeal(id);
        drawNow(id);
        nothingStolen(content);
    }

    /// @dev Whoever judged is not among those who are drawn anew, so that puppets cannot be silent first and lie then.
    function test_aPuppetCannotComeBackInTheSecondCommittee() public {
        fillPool(1);
        (ISettlement.EpochContent memory content, uint256 id) = challengedTheft();
        judge(id, 0, 0);
        drawNow(id);
        nothingStolen(content);
    }

    function test_silentJurorsDoNotLetATheftPass() public {
        fillPool(40);
        (ISettlement.EpochContent memory content, uint256 id) = challengedTheft();
        judge(id, 0, 0);
        judge(id, 0, 0);
        nothingStolen(content);
    }

    function test_accusationsInParallelDoNotTakeTheAppeal() public {
        fillPool(40);
        address settler = address(0x5E771E);
        register(settler, 2000 ether);
        settlement.grantRole(settlement.SETTLER_ROLE(), settler);
        ISettlement.EpochContent memory content = contentOf(jobId, 1, keccak256("a"));
        vm.prank(settler);
        settlement.proposeEpoch(content);
        uint256 id;
        for (uint256 i = 0; i < 20; ++i) {
            vm.prank(alice);
            id = disputes.challengeLine(content.epoch, 0, bytes32(i));
        }
        answerAs(settler, id);
        judge(id, 3, 0);
        vm.prank(settler);
        disputes.appeal(id);
        isPhase(id, IDisputes.Phase.Drawing);
        eq(registry.nodeOf(settler).locked, 20 + BASE_BOND, "accusations bind nothing else of his");
    }

    /// @dev Twenty accusers of one offence: the penalty is taken once, every bond is given back.
    function test_oneOffenceOnePenalty() public {
        uint256 epoch = proposeAsBob().epoch;
        for (uint256 i = 0; i < 20; ++i) {
            vm.prank(i % 2 == 0 ? alice : carol);
            disputes.challengeLine(epoch, 0, bytes32(i));
        }
        skip(ANSWER);
        for (uint256 i = 1; i <= 20; ++i) {
            disputes.resolve(i);
        }
        eq(registry.nodeOf(bob).stake, STAKE - PENALTY - BASE_BOND, "accused");
        nothingLocked(alice);
        nothingLocked(carol);
        nothingLocked(bob);
    }

    function traceCase(uint256 trace, bytes32 evidence, address accuser) private returns (uint256) {
        bytes32[] memory proof = Merkle.proof(Merkle.traces(1, 4), trace - 1);
        IDisputes.Submission memory submission = submissionOf(WORKER_KEY, 1);
        vm.prank(accuser);
        return disputes.challengeTrace(submission, bytes32(trace), proof, evidence);
    }

    /// @dev A friendly accusation of one trace, undecided or lost, shields no other trace, and not that one either.
    function testFuzz_noAcquittalShields(bool acquitted) public {
        if (acquitted) fillPool(20);
        uint256 id = traceCase(1, EVIDENCE, alice);
        answerAs(carol, id);
        if (acquitted) {
            judge(id, 0, 3);
            afterAppealTime(id);
        } else {
            drawNow(id);
        }
        check(traceCase(4, EVIDENCE, bob) > id, "another trace");
        if (acquitted) {
            bytes32 key = keccak256(abi.encode(vm.addr(WORKER_KEY), bytes32(uint256(1))));
            vm.expectRevert(abi.encodeWithSelector(IDisputes.EvidenceHeard.selector, key, EVIDENCE));
            this.accuseAgain(1, EVIDENCE);
            id = traceCase(1, keccak256("new evidence"), bob);
        } else {
            id = traceCase(1, EVIDENCE, bob);
        }
        eq(disputes.disputeOf(id).bond, acquitted ? 2 * BOND : BOND, "bond");
    }

    function accuseAgain(uint256 trace, bytes32 evidence) external {
        traceCase(trace, evidence, bob);
    }

    function test_aConvictionIsFinal() public {
        uint256 id = traceCase(1, EVIDENCE, alice);
        skip(ANSWER);
        disputes.resolve(id);
        bytes32 key = keccak256(abi.encode(vm.addr(WORKER_KEY), bytes32(uint256(1))));
        vm.expectRevert(abi.encodeWithSelector(IDisputes.AlreadyConvicted.selector, key));
        this.accuseAgain(1, keccak256("new evidence"));
    }

    /// @dev The same trace in another submission of the same worker is the same case.
    function test_anotherSubmissionIsNoWayRoundADocket() public {
        traceCase(1, EVIDENCE, alice);
        IDisputes.Submission memory other = submissionOf(WORKER_KEY, 1);
        other.lease = "lease-2";
        other.signature = signature(WORKER_KEY, submissionDigest(other));
        bytes32[] memory proof = Merkle.proof(Merkle.traces(1, 4), 0);
        vm.prank(bob);
        vm.expectPartialRevert(IDisputes.AlreadyOpen.selector);
        disputes.challengeTrace(other, bytes32(uint256(1)), proof, keccak256("new evidence"));
    }

    function test_everyAcquittalDoublesTheBondUpToSixteenTimes() public {
        fillPool(40);
        r1.transfer(alice, 9 * STAKE);
        vm.startPrank(alice);
        r1.approve(address(registry), 9 * STAKE);
        registry.addStake(9 * STAKE);
        vm.stopPrank();
        for (uint256 i = 0; i < 6; ++i) {
            uint256 id = traceCase(1, bytes32(i), alice);
            eq(disputes.disputeOf(id).bond, BOND << (i < 4 ? i : 4), "bond");
            answerAs(carol, id);
            judge(id, 0, 3);
            afterAppealTime(id);
        }
        eq(disputes.traceDocket(vm.addr(WORKER_KEY), bytes32(uint256(1))).acquittals, 6, "acquittals");
    }

    /// @dev A friend accuses the thief's epoch first and means to lose: others accuse it all the same.
    function test_aFriendlyAccusationDoesNotTakeTheOnlyPlace() public {
        fillPool(40);
        ISettlement.EpochContent memory content = theft();
        vm.prank(carol);
        uint256 friendly = disputes.challengeLine(content.epoch, 0, keccak256("nothing much"));
        answerAs(bob, friendly);
        judge(friendly, 0, 3);
        vm.prank(alice);
        uint256 id = disputes.challengeLine(content.epoch, 0, EVIDENCE);
        afterAppealTime(friendly);
        skip(WINDOW);
        nothingToPay(content);
        skip(ANSWER);
        disputes.resolve(id);
        isStatus(content.epoch, ISettlement.Status.Rejected);
    }

    function test_jurorsEarnTheSameForBothVerdicts() public {
        fillPool(40);
        for (uint256 i = 0; i < 2; ++i) {
            uint256 id = openLineDispute();
            answerAs(bob, id);
            uint256 before = jurorsHold();
            judge(id, i == 0 ? 0 : 3, i == 0 ? 3 : 0); // the conviction last: it suspends the settler
            afterAppealTime(id);
            eq(jurorsHold() - before, 3 * FEE, "fees");
        }
    }

    function jurorsHold() private view returns (uint256 sum) {
        for (uint256 i = 0; i < 40; ++i) {
            sum += r1.balanceOf(jurorAt(i));
        }
    }

    /// @dev A pause stops the periods of a dispute too: nobody loses by default while he cannot be expected to act.
    function testFuzz_aPauseTakesNobodysTime(uint256 paused) public {
        fillPool(20);
        uint256 id = openLineDispute();
        skip(ANSWER - 1);
        settlement.pause();
        skip(bound(paused, 1, 7 days - 1));
        uint256 deadline = disputes.disputeOf(id).deadline;
        vm.expectRevert(abi.encodeWithSelector(IDisputes.TooEarly.selector, deadline));
        disputes.resolve(id);
        answerAs(bob, id);
        drawNow(id);
        settlement.unpause();
        eq(disputes.disputeOf(id).deadline - settlement.clock(), COMMIT, "all of the next period");
    }
}
