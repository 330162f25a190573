// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IDisputes } from "../../src/interfaces/IDisputes.sol";
import { DisputeFixture } from "../helpers/DisputeFixture.sol";
import { DisputeHandler } from "./DisputeHandler.sol";

contract DisputeInvariants is DisputeFixture {
    DisputeHandler private handler;
    uint256 private supply;

    function setUp() public override {
        super.setUp();
        handler = new DisputeHandler(disputes, jobId);
        for (uint256 i = 0; i < handler.OWNERS(); ++i) {
            register(handler.ownerAt(i), STAKE);
            vm.prank(handler.ownerAt(i));
            pool.join();
        }
        settlement.grantRole(settlement.SETTLER_ROLE(), handler.ownerAt(0));
        settlement.grantRole(settlement.SETTLER_ROLE(), handler.ownerAt(1));
        supply = r1.totalSupply();
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
        bytes4[] memory selectors = new bytes4[](8);
        selectors[0] = handler.propose.selector;
        selectors[1] = handler.challenge.selector;
        selectors[2] = handler.finalise.selector;
        selectors[3] = handler.wait.selector;
        // Steps four times as often, so that disputes get to their end.
        for (uint256 i = 4; i < 8; ++i) {
            selectors[i] = handler.step.selector;
        }
        targets = new Selectors[](1);
        targets[0] = Selectors(address(handler), selectors);
    }

    /// @dev What is locked is exactly what open disputes hold, juror by juror and bond by bond.
    function invariant_everyLockBelongsToAnOpenDispute() external view {
        uint256 held = 0;
        for (uint256 id = 1; id <= disputes.disputeCount(); ++id) {
            IDisputes.Dispute memory dispute = disputes.disputeOf(id);
            if (dispute.phase == IDisputes.Phase.Resolved) continue;
            held += uint256(dispute.bond) + dispute.atRisk;
            if (dispute.phase != IDisputes.Phase.Voting) continue;
            address[] memory committee = disputes.committeeOf(id, dispute.round);
            for (uint256 i = 0; i < committee.length; ++i) {
                held += disputes.ballotOf(id, dispute.round, committee[i]).locked;
            }
        }
        eq(allLocked(), held, "locked");
    }

    function invariant_stakeIsConserved() external view {
        uint256 total = 3 * STAKE;
        for (uint256 i = 0; i < handler.OWNERS(); ++i) {
            address owner = handler.ownerAt(i);
            total += uint256(registry.nodeOf(owner).stake) + r1.balanceOf(owner);
        }
        uint256 burned = supply - r1.totalSupply();
        eq(total + burned, (3 + handler.OWNERS()) * STAKE, "stake + bounties + burned");
        eq(r1.balanceOf(address(disputes)), 0, "the disputes contract keeps nothing");
    }

    function invariant_frozenEpochsAreThoseInDispute() external view {
        uint256 next = settlement.nextEpoch();
        for (uint256 epoch = 1; epoch < next; ++epoch) {
            uint256 open = 0;
            for (uint256 id = 1; id <= disputes.disputeCount(); ++id) {
                IDisputes.Dispute memory dispute = disputes.disputeOf(id);
                if (dispute.epoch == epoch && dispute.phase != IDisputes.Phase.Resolved) ++open;
            }
            eq(settlement.epochOf(epoch).disputes, open, "open disputes");
        }
    }

    function afterInvariant() external {
        handler.windUp();
        eq(allLocked(), 0, "every dispute ends and every lock is undone");
    }

    function allLocked() private view returns (uint256 locked) {
        for (uint256 i = 0; i < handler.OWNERS(); ++i) {
            locked += registry.nodeOf(handler.ownerAt(i)).locked;
        }
    }
}
