// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IAccessControl } from "@openzeppelin/contracts/access/IAccessControl.sol";
import { IJobEscrow } from "../src/interfaces/IJobEscrow.sol";
import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { ISettlerBonds } from "../src/interfaces/ISettlerBonds.sol";
import { Fixture } from "./helpers/Fixture.sol";

contract SettlementTest is Fixture {
    bytes32 private constant ROOT = keccak256("root");
    bytes32 private jobId;

    function setUp() public override {
        super.setUp();
        becomeSettler();
        jobId = fund(alice, 1000, 100);
    }

    function test_firstEpochIsOne() public view {
        eq(settlement.nextEpoch(), 1, "next");
    }

    function testFuzz_proposeAnchorsAndReserves(uint256 amount, bytes32 root) public {
        amount = bound(amount, 0, 100);
        vm.assume(root != 0);
        ISettlement.EpochContent memory content = propose(jobId, amount, root);
        ISettlement.Epoch memory epoch = settlement.epochOf(1);
        eq(epoch.commitment, keccak256(abi.encode(content)), "commitment");
        eq(epoch.proposer, address(this), "proposer");
        eq(epoch.finalisableAt, block.timestamp + WINDOW, "window");
        eq(epoch.proposedBlock, block.number, "block");
        isStatus(1, ISettlement.Status.Pending);
        eq(epoch.lines, 1, "lines");
        eq(uint256(epoch.paid) + epoch.rejected + epoch.unwound + epoch.disputed, 0, "nothing happened yet");
        eq(escrow.jobOf(jobId).reserved, amount, "reserved");
        eq(settlement.nextEpoch(), 2, "next");
    }

    function testFuzz_epochsComeInOrder(uint256 number) public {
        vm.assume(number != 1);
        ISettlement.EpochContent memory content = contentOf(jobId, 1, ROOT);
        content.epoch = number;
        vm.expectRevert(abi.encodeWithSelector(ISettlement.WrongEpoch.selector, number, 1));
        settlement.proposeEpoch(content);
    }

    /// @dev Money without a root is nobody's; a line that takes none needs none.
    function test_zeroRootIsRefusedWhereThereIsMoney() public {
        ISettlement.EpochContent memory content = contentOf(jobId, 1, 0);
        vm.expectRevert(ISettlement.ZeroRoot.selector);
        settlement.proposeEpoch(content);
        settle(jobId, 0, 0);
        isStatus(1, ISettlement.Status.Finalised);
        eq(rewards.leftOf(1, jobId, 0), 0, "no pot");
    }

    function testFuzz_onlyASettlerProposes(address caller) public {
        vm.assume(caller != address(this));
        ISettlement.EpochContent memory content = contentOf(jobId, 1, ROOT);
        bytes memory refusal = abi.encodeWithSelector(
            IAccessControl.AccessControlUnauthorizedAccount.selector, caller, settlement.SETTLER_ROLE()
        );
        vm.prank(caller);
        vm.expectRevert(refusal);
        settlement.proposeEpoch(content);
    }

    function testFuzz_capHoldsForEveryEpoch(uint256 amount) public {
        amount = bound(amount, 101, type(uint256).max);
        ISettlement.EpochContent memory content = contentOf(jobId, amount, ROOT);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.EpochCapExceeded.selector, jobId, amount, 100));
        settlement.proposeEpoch(content);
    }

    function test_pendingEpochsTogetherNeverExceedTheFunding() public {
        for (uint256 i = 0; i < 10; ++i) {
            propose(jobId, 100, ROOT);
            skip(CAP_PERIOD);
        }
        ISettlement.EpochContent memory content = contentOf(jobId, 1, ROOT);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.InsufficientFunds.selector, jobId, 1, 0));
        settlement.proposeEpoch(content);
    }

    function test_aJobTwiceInOneEpochIsRefused() public {
        ISettlement.EpochContent memory content = contentOf(jobId, 100, ROOT);
        content.jobs = new ISettlement.JobSettlement[](2);
        content.jobs[0] = lineOf(jobId, 100);
        content.jobs[1] = lineOf(jobId, 100);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.JobsNotSorted.selector, jobId));
        settlement.proposeEpoch(content);
    }

    function test_jobsOutOfOrderAreRefused() public {
        bytes32[] memory jobs = new bytes32[](2);
        (jobs[0], jobs[1]) = (jobId, fund(bob, 1, 1));
        ISettlement.EpochContent memory content = contentOf(jobs, 1);
        (content.jobs[0], content.jobs[1]) = (content.jobs[1], content.jobs[0]);
        vm.expectPartialRevert(ISettlement.JobsNotSorted.selector);
        settlement.proposeEpoch(content);
    }

    function test_anEpochHasALine() public {
        ISettlement.EpochContent memory content = contentOf(jobId, 1, ROOT);
        content.jobs = new ISettlement.JobSettlement[](0);
        vm.expectRevert(ISettlement.NoJobs.selector);
        settlement.proposeEpoch(content);
    }

    function test_tooManyJobsAreRefused() public {
        ISettlement.EpochContent memory content = contentOf(jobId, 1, ROOT);
        content.jobs = new ISettlement.JobSettlement[](65);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.TooManyJobs.selector, 65));
        settlement.proposeEpoch(content);
    }

    function testFuzz_finaliseAfterTheWindowByAnyone(address caller, uint256 amount, uint256 late) public {
        amount = bound(amount, 0, 100);
        late = bound(late, 0, 365 days);
        ISettlement.EpochContent memory content = propose(jobId, amount, ROOT);
        skip(WINDOW + late);
        vm.prank(caller);
        settlement.finaliseEpoch(content);
        isStatus(1, ISettlement.Status.Finalised);
        eq(rewards.leftOf(1, jobId, ROOT), amount, "pot");
        eq(money.balanceOf(address(rewards)), amount, "rewards' money");
        eq(escrow.jobOf(jobId).reserved, 0, "reserved");
    }

    function testFuzz_neverFinalEarly(uint256 early) public {
        early = bound(early, 0, WINDOW - 1);
        ISettlement.EpochContent memory content = propose(jobId, 1, ROOT);
        uint256 until = block.timestamp + WINDOW;
        skip(early);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.WindowOpen.selector, until));
        settlement.finaliseEpoch(content);
    }

    function test_neverFinalTwice() public {
        ISettlement.EpochContent memory content = propose(jobId, 1, ROOT);
        skip(WINDOW);
        settlement.finaliseEpoch(content);
        nothingToPay(content);
        eq(money.balanceOf(address(rewards)), 1, "paid once");
    }

    function testFuzz_onlyTheProposedContentBecomesFinal(uint256 amount, bytes32 report) public {
        ISettlement.EpochContent memory content = propose(jobId, 1, ROOT);
        vm.assume(amount != 1 || report != content.jobs[0].reportDigest);
        skip(WINDOW);
        content.jobs[0].amount = amount;
        content.jobs[0].reportDigest = report;
        vm.expectRevert(abi.encodeWithSelector(ISettlement.WrongContent.selector, 1));
        settlement.finaliseEpoch(content);
    }

    function testFuzz_anUnknownEpochHasNoContent(uint256 number) public {
        ISettlement.EpochContent memory content = contentOf(jobId, 1, ROOT);
        content.epoch = number;
        vm.expectRevert(abi.encodeWithSelector(ISettlement.WrongContent.selector, number));
        settlement.finaliseEpoch(content);
    }

    /// @dev Whatever the order, and whatever becomes of those before.
    function testFuzz_epochsDoNotWaitForOneAnother(bool[4] memory held) public {
        ISettlement.EpochContent[4] memory contents;
        for (uint256 i = 0; i < 4; ++i) {
            contents[i] = propose(jobId, 1 + i, ROOT);
            if (held[i]) settlement.freeze(1 + i, 0);
        }
        skip(WINDOW);
        for (uint256 i = 4; i > 0; --i) {
            if (held[i - 1]) nothingToPay(contents[i - 1]);
            else settlement.finaliseEpoch(contents[i - 1]);
            eq(rewards.leftOf(i, jobId, ROOT), held[i - 1] ? 0 : i, "pot");
        }
    }

    function test_aWindowChangeLeavesPendingEpochsAlone() public {
        ISettlement.EpochContent memory content = propose(jobId, 1, ROOT);
        settlement.setChallengeWindow(30 days);
        skip(WINDOW);
        settlement.finaliseEpoch(content);
    }

    function testFuzz_windowBounds(uint256 window) public {
        window = bound(window, 1, 30 days);
        settlement.setChallengeWindow(window);
        eq(settlement.challengeWindow(), window, "window");
        vm.expectRevert(ISettlerBonds.ParameterOutOfBounds.selector);
        settlement.setChallengeWindow(0);
        vm.expectRevert(ISettlerBonds.ParameterOutOfBounds.selector);
        settlement.setChallengeWindow(30 days + window);
    }

    function testFuzz_onlyTheAdminSetsTheWindow(address caller) public {
        vm.assume(caller != address(this));
        vm.prank(caller);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, caller, bytes32(0))
        );
        settlement.setChallengeWindow(1);
    }

    /// @dev Pending epochs are bounded by the settler's stake and the jobs' money alone.
    function test_aHundredEpochsMayBePending() public {
        ISettlement.EpochContent[] memory contents = new ISettlement.EpochContent[](100);
        for (uint256 i = 0; i < 100; ++i) {
            contents[i] = propose(jobId, 1, ROOT);
        }
        skip(WINDOW);
        for (uint256 i = 0; i < 100; ++i) {
            settlement.finaliseEpoch(contents[i]);
        }
        eq(money.balanceOf(address(rewards)), 100, "paid");
    }

    function testFuzz_anchoringCostsTheSameForAnyNumberOfTraces(uint64 few, uint64 many) public {
        vm.assume(few != 0 && many > few);
        uint256[2] memory costs;
        uint64[2] memory counts = [few, many];
        propose(jobId, 1, ROOT);
        for (uint256 i = 0; i < 2; ++i) {
            ISettlement.EpochContent memory content = contentOf(jobId, 1, ROOT);
            content.jobs[0].traceCount = counts[i];
            uint256 before = gasleft();
            settlement.proposeEpoch(content);
            costs[i] = before - gasleft();
        }
        uint256 difference = costs[0] > costs[1] ? costs[0] - costs[1] : costs[1] - costs[0];
        atMost(difference, 1000, "gas apart");
    }
}
