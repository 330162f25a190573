// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IJobEscrow } from "../../src/interfaces/IJobEscrow.sol";
import { ISettlement } from "../../src/interfaces/ISettlement.sol";
import { ISettlerBonds } from "../../src/interfaces/ISettlerBonds.sol";
import { Fixture } from "../helpers/Fixture.sol";
import { MoneyHandler } from "./MoneyHandler.sol";

contract MoneyInvariants is Fixture {
    MoneyHandler private handler;

    function setUp() public override {
        super.setUp();
        handler = new MoneyHandler(settlement, money);
        settlement.grantRole(settlement.SETTLER_ROLE(), address(handler));
        settlement.grantRole(settlement.DISPUTES_ROLE(), address(handler));
        settlement.grantRole(settlement.GUARDIAN_ROLE(), address(handler));
        settlement.setBondTerms(ISettlerBonds.BondTerms(1 ether, 0.001 ether));
        register(address(handler), SETTLER_STAKE);
        handler.createJob(1e24, 1e22);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    struct Selectors {
        address addr;
        bytes4[] selectors;
    }

    function targetSelectors() external view returns (Selectors[] memory targets) {
        bytes4[] memory selectors = new bytes4[](13);
        selectors[0] = handler.createJob.selector;
        selectors[1] = handler.topUp.selector;
        selectors[2] = handler.close.selector;
        selectors[3] = handler.refund.selector;
        selectors[4] = handler.propose.selector;
        selectors[5] = handler.finalise.selector;
        selectors[6] = handler.freeze.selector;
        selectors[7] = handler.unfreeze.selector;
        selectors[8] = handler.reject.selector;
        selectors[9] = handler.unwind.selector;
        selectors[10] = handler.claim.selector;
        selectors[11] = handler.wait.selector;
        selectors[12] = handler.pause.selector;
        targets = new Selectors[](1);
        targets[0] = Selectors(address(handler), selectors);
    }

    function invariant_escrowHoldsExactlyWhatItOwes() external view {
        uint256 owed = 0;
        for (uint256 i = 0; i < handler.jobCount(); ++i) {
            IJobEscrow.Job memory job = escrow.jobOf(handler.jobs(i));
            owed += uint256(job.available) + job.reserved;
        }
        eq(money.balanceOf(address(escrow)), owed, "escrow balance");
    }

    function invariant_everyJobsBooksAddUp() external view {
        for (uint256 i = 0; i < handler.jobCount(); ++i) {
            bytes32 jobId = handler.jobs(i);
            IJobEscrow.Job memory job = escrow.jobOf(jobId);
            uint256 used = uint256(job.available) + job.reserved + handler.paid(jobId) + handler.refunded(jobId);
            eq(job.funded, handler.funded(jobId), "funded");
            eq(job.funded, used, "funded = available + reserved + paid + refunded");
        }
    }

    function invariant_rewardsHoldWhatIsFinalAndUnclaimed() external view {
        uint256 claimed = 0;
        for (uint256 i = 0; i < handler.ACCOUNTS(); ++i) {
            claimed += handler.claimed(i);
        }
        atMost(claimed, handler.finalisedIn(), "claimed <= finalised");
        eq(money.balanceOf(address(rewards)), handler.finalisedIn() - claimed, "rewards balance");
    }

    function invariant_nobodyIsPaidBeyondHisLeaf() external view {
        uint256 last = handler.lastFinal();
        for (uint256 i = 0; i < handler.ACCOUNTS(); ++i) {
            address account = handler.accountOf(i);
            uint256 paid = rewards.claimed(address(money), account);
            eq(money.balanceOf(account), paid, "balance = claimed");
            eq(paid, handler.claimed(i), "claimed");
            atMost(paid, last == 0 ? 0 : handler.leafOf(last, i), "claimed <= leaf");
        }
    }

    function invariant_finalRootsNeverChange() external view {
        uint256 next = settlement.nextEpoch();
        for (uint256 i = 1; i < next; ++i) {
            bytes32 content = handler.finalContent(i);
            if (content == 0) continue;
            eq(settlement.epochOf(i).commitment, content, "the content, its root included");
            isStatus(i, ISettlement.Status.Finalised);
        }
        if (handler.lastFinal() != 0) eq(rewards.root(), handler.finalRoot(handler.lastFinal()), "newest root");
    }

    /// @dev What is locked answers for epochs that are pending, or rejected under an open dispute, and for nothing else.
    function invariant_bondsAreLockedWhileEpochsArePending() external view {
        uint256 next = settlement.nextEpoch();
        uint256 held = 0;
        for (uint256 i = 1; i < next; ++i) {
            (uint256 bond,) = settlement.standOf(i);
            bool open = statusOf(i) == ISettlement.Status.Pending || settlement.epochOf(i).disputes != 0;
            check((bond != 0) == open, "a bond while it is open");
            held += bond;
        }
        eq(registry.nodeOf(address(handler)).locked, held, "locked");
    }

    function afterInvariant() external {
        handler.windUp();
        eq(registry.nodeOf(address(handler)).locked, 0, "no bond is stuck");
        eq(money.balanceOf(address(escrow)), 0, "nothing is stuck in the escrow");
        eq(money.balanceOf(address(rewards)), 0, "nothing is stuck in the rewards contract");
    }
}
