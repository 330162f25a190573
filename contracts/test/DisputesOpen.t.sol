// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IAccessControl } from "@openzeppelin/contracts/access/IAccessControl.sol";
import { IDisputes } from "../src/interfaces/IDisputes.sol";
import { INodeRegistry } from "../src/interfaces/INodeRegistry.sol";
import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { DisputeFixture } from "./helpers/DisputeFixture.sol";
import { Merkle } from "./helpers/Merkle.sol";

/// @dev Opening, answering and defaulting.
contract DisputesOpenTest is DisputeFixture {
    function test_aLineChallengeLocksBothAndFreezes() public {
        ISettlement.EpochContent memory content = proposeAsBob();
        vm.prank(alice);
        vm.expectEmit(address(disputes));
        emit IDisputes.DisputeOpened(1, alice, bob, 1, 0, keccak256(abi.encode(content)), EVIDENCE);
        uint256 id = disputes.challengeLine(1, 0, EVIDENCE);
        eq(registry.nodeOf(alice).locked, BOND, "bond");
        eq(registry.nodeOf(bob).locked, disputes.HOLD() + BASE_BOND, "held");
        eq(disputes.disputeOf(id).atRisk, PENALTY, "penalty");
        check(isDisputed(1, 0), "frozen");
        isPhase(id, IDisputes.Phase.Open);
    }

    function testFuzz_onlyActiveNodesChallenge(address stranger) public {
        vm.assume(stranger != alice && stranger != bob && stranger != carol);
        proposeAsBob();
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.ChallengerNotActive.selector, stranger));
        disputes.challengeLine(1, 0, EVIDENCE);
    }

    function test_nobodyChallengesHimself() public {
        proposeAsBob();
        vm.prank(bob);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.SelfAccusation.selector, bob));
        disputes.challengeLine(1, 0, EVIDENCE);
    }

    function testFuzz_manySmallChallengesCostABondEach(uint8 count_) public {
        uint256 count = bound(count_, 1, STAKE / BOND);
        proposeAsBob();
        vm.startPrank(alice);
        for (uint256 i = 0; i < count; ++i) {
            disputes.challengeLine(1, 0, bytes32(i));
        }
        eq(registry.nodeOf(alice).locked, count * BOND, "bonds");
        for (uint256 i = count; i < STAKE / BOND; ++i) {
            disputes.challengeLine(1, 0, bytes32(i));
        }
        vm.expectRevert(abi.encodeWithSelector(IDisputes.BondNotCovered.selector, alice, BOND, 0));
        disputes.challengeLine(1, 0, EVIDENCE);
        vm.stopPrank();
        eq(registry.nodeOf(bob).locked, STAKE / BOND + BASE_BOND, "one wei each of the accused");
    }

    function testFuzz_aLineIsOpenToChallengeUntilItIsPaid(uint256 late) public {
        ISettlement.EpochContent memory content = proposeAsBob();
        skip(WINDOW + bound(late, 0, 365 days));
        vm.prank(alice);
        disputes.challengeLine(1, 0, EVIDENCE);
        nothingToPay(content);
    }

    function test_noChallengeOfAPaidLine() public {
        ISettlement.EpochContent memory content = proposeAsBob();
        skip(WINDOW);
        settlement.finaliseEpoch(content);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.WrongStatus.selector, 1, 0, ISettlement.Status.Finalised));
        disputes.challengeLine(1, 0, EVIDENCE);
    }

    function testFuzz_noChallengeOfWhatWasNotProposed(uint256 epoch, uint256 line) public {
        proposeAsBob();
        vm.assume(epoch != 1 || line != 0);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.WrongStatus.selector, epoch, line, ISettlement.Status.None));
        disputes.challengeLine(epoch, line, EVIDENCE);
    }

    function testFuzz_aTraceChallengeNamesTheWorkersOwner(uint256 first) public {
        first = bound(first, 1, type(uint128).max);
        uint256 id = openTraceDispute(first);
        IDisputes.Dispute memory dispute = disputes.disputeOf(id);
        eq(dispute.accused, carol, "accused");
        eq(dispute.epoch, 0, "no epoch");
        eq(registry.nodeOf(carol).locked, disputes.HOLD(), "held");
    }

    function test_anUnboundWorkersOwnerStillAnswers() public {
        address worker = vm.addr(WORKER_KEY);
        vm.startPrank(carol);
        registry.unbindWorker(worker);
        registry.deactivate();
        vm.stopPrank();
        eq(disputes.disputeOf(openTraceDispute(1)).accused, carol, "accused");
        skip(UNBONDING);
        vm.prank(carol);
        vm.expectPartialRevert(INodeRegistry.StakeIsLocked.selector);
        registry.withdraw();
    }

    function testFuzz_foreignSignaturesAccuseNobody(uint256 key) public {
        key = bound(key, 1, type(uint128).max);
        vm.assume(key != WORKER_KEY);
        IDisputes.Submission memory submission = submissionOf(key, 1);
        bytes32[] memory proof = Merkle.proof(Merkle.traces(1, 4), 0);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.UnknownWorker.selector, vm.addr(key)));
        disputes.challengeTrace(submission, bytes32(uint256(1)), proof, EVIDENCE);
    }

    function testFuzz_aSubmissionOfAnotherChainAccusesNobody(uint64 chain) public {
        vm.assume(chain != 0 && chain != block.chainid);
        IDisputes.Submission memory submission = submissionOf(WORKER_KEY, 1);
        bytes32[] memory proof = Merkle.proof(Merkle.traces(1, 4), 0);
        vm.chainId(chain);
        vm.prank(alice);
        vm.expectPartialRevert(IDisputes.UnknownWorker.selector);
        disputes.challengeTrace(submission, bytes32(uint256(1)), proof, EVIDENCE);
    }

    function testFuzz_alteredSubmissionsAccuseNobody(string calldata lease, uint256 count) public {
        IDisputes.Submission memory submission = submissionOf(WORKER_KEY, 1);
        vm.assume(count != 4 || keccak256(bytes(lease)) != keccak256(bytes(submission.lease)));
        (submission.lease, submission.count) = (lease, count);
        bytes32[] memory proof = Merkle.proof(Merkle.traces(1, 4), 0);
        vm.prank(alice);
        vm.expectPartialRevert(IDisputes.UnknownWorker.selector);
        disputes.challengeTrace(submission, bytes32(uint256(1)), proof, EVIDENCE);
    }

    function testFuzz_theTraceMustBeInTheSubmission(bytes32 trace) public {
        vm.assume(trace != bytes32(uint256(1)));
        IDisputes.Submission memory submission = submissionOf(WORKER_KEY, 1);
        bytes32[] memory proof = Merkle.proof(Merkle.traces(1, 4), 0);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.TraceNotInSubmission.selector, trace));
        disputes.challengeTrace(submission, trace, proof, EVIDENCE);
    }

    function testFuzz_onlyTheAccusedAnswersInTime(address caller, uint256 late) public {
        vm.assume(caller != bob);
        uint256 id = openLineDispute();
        uint256 deadline = block.timestamp + ANSWER;
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.NotParty.selector, id, caller));
        disputes.answer(id, 0);
        skip(bound(late, ANSWER, 365 days));
        vm.prank(bob);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.TooLate.selector, deadline));
        disputes.answer(id, 0);
    }

    function testFuzz_noAnswerMeansGuilty(address caller, uint256 early) public {
        uint256 id = openLineDispute();
        uint256 deadline = block.timestamp + ANSWER;
        skip(bound(early, 0, ANSWER - 1));
        vm.expectRevert(abi.encodeWithSelector(IDisputes.TooEarly.selector, deadline));
        disputes.resolve(id);
        vm.warp(deadline);
        uint256 supply = r1.totalSupply();
        vm.prank(caller);
        disputes.resolve(id);
        isStatus(1, ISettlement.Status.Rejected);
        eq(r1.balanceOf(alice), PENALTY / 2, "bounty");
        eq(r1.totalSupply(), supply - PENALTY / 2 - BASE_BOND, "burned");
        eq(registry.nodeOf(bob).stake, STAKE - PENALTY - BASE_BOND, "slashed");
        nothingLocked(alice);
        nothingLocked(bob);
    }

    function testFuzz_onlyTheAdminSetsParameters(address caller) public {
        vm.assume(caller != address(this));
        vm.prank(caller);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, caller, bytes32(0))
        );
        disputes.setParameters(defaults());
    }

    function testFuzz_parameterBounds(uint8 which, uint32 period, uint8 size) public {
        IDisputes.Parameters memory given = defaults();
        which = uint8(bound(which, 0, 11));
        uint32 bad = period <= 14 days ? 0 : period;
        if (which == 0) given.bond = 0;
        if (which == 1) given.penalty = 0;
        if (which == 2) given.answerPeriod = bad;
        if (which == 3) given.commitPeriod = bad;
        if (which == 4) given.revealPeriod = bad;
        if (which == 5) given.appealPeriod = bad;
        if (which == 6) given.committeeSize = size % 2 == 1 && size <= 15 ? size + 1 : size;
        if (which == 7) given.penalty = given.bond - 1;
        // 3 + 7 + 15 seats, and 15 again: 40 of the fees in half a bond.
        if (which == 8) given.jurorFee = BOND / 80 + 1;
        if (which == 9) given.penalty = disputes.MAX_AMOUNT() + 1;
        if (which == 11) given.jurorStake = BOND + 1;
        if (which == 10) given.jurorStake = disputes.MAX_AMOUNT() + 1;
        vm.expectRevert(IDisputes.ParameterOutOfBounds.selector);
        disputes.setParameters(given);
    }

    function test_parametersCanBeSet() public {
        IDisputes.Parameters memory given = defaults();
        (given.bond, given.jurorFee, given.jurorStake) = (2, 0, 1);
        disputes.setParameters(given);
        eq(keccak256(abi.encode(disputes.parameters())), keccak256(abi.encode(given)), "as given");
    }

    /// @dev Each dispute gives back the bond of its time, however often the parameter changes.
    function testFuzz_aBondIsThatOfItsTime(uint256[4] memory bonds) public {
        IDisputes.Parameters memory given = defaults();
        (given.jurorFee, given.jurorStake, given.penalty) = (0, 0, 1000 ether);
        uint256[4] memory ids;
        uint256 sum = 0;
        for (uint256 i = 0; i < 4; ++i) {
            bonds[i] = bound(bonds[i], 1, 1000 ether);
            given.bond = uint96(bonds[i]);
            disputes.setParameters(given);
            ids[i] = openTraceDispute(10 * i + 1);
            sum += bonds[i];
        }
        eq(disputes.disputeCount(), ids[3], "count");
        eq(registry.nodeOf(alice).locked, sum, "locked");
        for (uint256 i = 0; i < 4; ++i) {
            eq(disputes.disputeOf(ids[i]).bond, bonds[i], "bond");
            answerAs(carol, ids[i]);
            drawNow(ids[i]);
            sum -= bonds[i];
            eq(registry.nodeOf(alice).locked, sum, "given back");
        }
        nothingLocked(carol);
    }

    function testFuzz_noDisputeNoBond(uint256 disputeId) public view {
        vm.assume(disputeId != 0);
        IDisputes.Dispute memory dispute = disputes.disputeOf(disputeId);
        eq(uint256(dispute.bond) + dispute.atRisk, 0, "nothing locked");
    }
}
