// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IJobEscrow } from "../../src/interfaces/IJobEscrow.sol";
import { ISettlement } from "../../src/interfaces/ISettlement.sol";
import { ISettlerBonds } from "../../src/interfaces/ISettlerBonds.sol";
import { Fixture } from "../helpers/Fixture.sol";
import { MoodyToken } from "../helpers/Tokens.sol";
import { MoneyHandler } from "./MoneyHandler.sol";

contract MoneyInvariants is Fixture {
    MoneyHandler private handler;

    function setUp() public override {
        super.setUp();
        handler = new MoneyHandler(settlement, [new MoodyToken(), new MoodyToken()]);
        settlement.grantRole(settlement.SETTLER_ROLE(), address(handler));
        settlement.grantRole(settlement.DISPUTES_ROLE(), address(handler));
        settlement.grantRole(settlement.GUARDIAN_ROLE(), address(handler));
        settlement.grantRole(settlement.DEFAULT_ADMIN_ROLE(), address(handler));
        settlement.grantRole(rewards.RESTITUTION_ROLE(), address(handler));
        settlement.setBondTerms(ISettlerBonds.BondTerms(1 ether, 0.001 ether));
        register(address(handler), SETTLER_STAKE);
        handler.createJob(1e24, 1e22);
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
        bytes4[] memory selectors = new bytes4[](18);
        selectors[0] = handler.createJob.selector;
        selectors[1] = handler.topUp.selector;
        selectors[2] = handler.close.selector;
        selectors[3] = handler.refund.selector;
        selectors[4] = handler.sulk.selector;
        selectors[5] = handler.propose.selector;
        selectors[6] = handler.finalise.selector;
        selectors[7] = handler.freeze.selector;
        selectors[8] = handler.unfreeze.selector;
        selectors[9] = handler.reject.selector;
        selectors[10] = handler.unwind.selector;
        selectors[11] = handler.claim.selector;
        selectors[12] = handler.forfeit.selector;
        selectors[13] = handler.hold.selector;
        selectors[14] = handler.wait.selector;
        selectors[15] = handler.pause.selector;
        // More often, so that lines get to their end.
        selectors[16] = handler.finalise.selector;
        selectors[17] = handler.claim.selector;
        targets = new Selectors[](1);
        targets[0] = Selectors(address(handler), selectors);
    }

    function invariant_everyJobsBooksAddUp() public view {
        uint256[2] memory owed;
        for (uint256 i = 0; i < handler.jobCount(); ++i) {
            bytes32 jobId = handler.jobs(i);
            IJobEscrow.Job memory job = escrow.jobOf(jobId);
            (uint256 funded, uint256 paid, uint256 refunded,,) = handler.booksOf(jobId);
            eq(job.funded, funded, "funded");
            eq(job.refunded, refunded, "refunded");
            eq(funded, uint256(job.available) + job.reserved + paid + refunded, "all of it is accounted for");
            owed[i % 2] += uint256(job.available) + job.reserved;
        }
        for (uint256 i = 0; i < 2; ++i) {
            eq(handler.tokens(i).balanceOf(address(escrow)), owed[i], "the escrow holds exactly what it owes");
        }
    }

    /// @dev What one line brought in, less what its own leaves took, is there: no line touches another's.
    function invariant_everyPotHoldsItsOwnMoney() public view {
        uint256[2] memory left;
        for (uint256 i = 0; i < handler.lineCount(); ++i) {
            MoneyHandler.Line memory line = handler.lineAt(i);
            eq(rewards.leftOf(line.epoch, line.jobId, handler.rootOf(i)), line.left, "left");
            eq(uint256(settlement.statusOf(line.epoch, line.number)), uint256(line.status), "status");
            left[address(handler.tokenOf(line.jobId)) == address(handler.tokens(0)) ? 0 : 1] += line.left;
        }
        for (uint256 i = 0; i < 2; ++i) {
            eq(handler.tokens(i).balanceOf(address(rewards)), left[i], "the rewards contract holds all pots");
        }
    }

    function invariant_reservedIsWhatMayStillBePaid() public view {
        for (uint256 k = 0; k < handler.jobCount(); ++k) {
            uint256 promised = 0;
            for (uint256 i = 0; i < handler.lineCount(); ++i) {
                MoneyHandler.Line memory line = handler.lineAt(i);
                bool open = line.status == ISettlement.Status.Pending || line.status == ISettlement.Status.Rejected;
                if (line.jobId == handler.jobs(k) && open) promised += line.amount;
            }
            eq(escrow.jobOf(handler.jobs(k)).reserved, promised, "reserved");
        }
    }

    function invariant_setsOfLinesAgree() public view {
        for (uint256 i = 0; i < handler.lineCount(); ++i) {
            MoneyHandler.Line memory line = handler.lineAt(i);
            ISettlement.Epoch memory epoch = settlement.epochOf(line.epoch);
            bool unwound = line.status == ISettlement.Status.Unwound;
            bool rejected = unwound || line.status == ISettlement.Status.Rejected;
            check(isIn(epoch.paid, line) == (line.status == ISettlement.Status.Finalised), "paid");
            check(isIn(epoch.rejected, line) == rejected, "rejected");
            check(isIn(epoch.unwound, line) == unwound, "unwound");
            check(isIn(epoch.disputed, line) == (line.disputes != 0), "disputed");
        }
    }

    function isIn(uint64 set, MoneyHandler.Line memory line) private pure returns (bool) {
        return (set >> line.number) & 1 == 1;
    }

    /// @dev What is locked answers for epochs with lines that nobody tried to pay yet, or that are disputed since then,
    /// and whose proposer was not convicted; for nothing else.
    function invariant_bondsAreLockedWhileLinesAreOpen() public view {
        uint256 next = settlement.nextEpoch();
        uint256 held = 0;
        for (uint256 epoch = 1; epoch < next; ++epoch) {
            check((settlement.bondOf(epoch) == 0) == handler.bondGone(epoch), "a bond while it is open");
            held += settlement.bondOf(epoch);
        }
        eq(registry.nodeOf(address(handler)).locked, held, "locked");
    }

    function afterInvariant() external {
        handler.windUp();
        eq(registry.nodeOf(address(handler)).locked, 0, "no bond is stuck");
        for (uint256 i = 0; i < 2; ++i) {
            eq(handler.tokens(i).balanceOf(address(escrow)), 0, "nothing is stuck in the escrow");
        }
        invariant_everyPotHoldsItsOwnMoney();
        invariant_setsOfLinesAgree();
    }
}
