// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IDisputes } from "../../src/interfaces/IDisputes.sol";
import { ISettlement } from "../../src/interfaces/ISettlement.sol";
import { DisputeFixture } from "../helpers/DisputeFixture.sol";
import { DisputeHandler } from "./DisputeHandler.sol";

contract DisputeInvariants is DisputeFixture {
    DisputeHandler private handler;
    uint256 private supply;

    function setUp() public override {
        super.setUp();
        bytes32 other = fund(carol, 100_000, 1000);
        handler = new DisputeHandler(disputes, jobId < other ? [jobId, other] : [other, jobId]);
        for (uint256 i = 0; i < handler.OWNERS(); ++i) {
            register(handler.ownerAt(i), STAKE);
            vm.prank(handler.ownerAt(i));
            pool.join();
            bind(handler.ownerAt(i), handler.keyAt(i));
        }
        settlement.grantRole(settlement.SETTLER_ROLE(), handler.ownerAt(0));
        settlement.grantRole(settlement.SETTLER_ROLE(), handler.ownerAt(1));
        settlement.grantRole(settlement.DEFAULT_ADMIN_ROLE(), address(handler));
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
        bytes4[] memory selectors = new bytes4[](11);
        selectors[0] = handler.propose.selector;
        selectors[1] = handler.challenge.selector;
        selectors[2] = handler.finalise.selector;
        selectors[3] = handler.wait.selector;
        selectors[4] = handler.comeAndGo.selector;
        selectors[5] = handler.challengeTrace.selector;
        // Steps five times as often, so that disputes get to their end.
        for (uint256 i = 6; i < 11; ++i) {
            selectors[i] = handler.step.selector;
        }
        targets = new Selectors[](1);
        targets[0] = Selectors(address(handler), selectors);
    }

    /// @dev What is locked is exactly what open disputes hold, juror by juror over all rounds, bond by bond, one wei of
    /// each accused who had one, and one of each member of the pool, and the bonds of settlers. A slash may leave an owner less than his locks.
    function invariant_everyLockBelongsToAnOpenDispute() external view {
        for (uint256 i = 0; i < handler.OWNERS(); ++i) {
            address owner = handler.ownerAt(i);
            uint256 held = pool.contains(owner) || handler.left(owner) ? pool.HOLD() : 0;
            for (uint256 id = 1; id <= disputes.disputeCount(); ++id) {
                held += heldBy(id, owner);
            }
            held += bondsOf(owner);
            uint256 stake = registry.nodeOf(owner).stake;
            eq(registry.nodeOf(owner).locked, held < stake ? held : stake, "locked");
        }
    }

    function heldBy(uint256 id, address owner) private view returns (uint256 held) {
        IDisputes.Dispute memory dispute = disputes.disputeOf(id);
        if (dispute.phase == IDisputes.Phase.Resolved) return 0;
        if (dispute.challenger == owner) held += dispute.bond;
        if (dispute.accused == owner && handler.accusedHeld(id)) held += disputes.HOLD();
        for (uint256 round = 0; round <= dispute.round; ++round) {
            held += disputes.ballotOf(id, round, owner).locked;
        }
    }

    /// @dev A verdict is that of a majority of seats, and without one nobody but the silent lost anything.
    function invariant_noVerdictWithoutAMajority() external view {
        for (uint256 id = 1; id <= disputes.disputeCount(); ++id) {
            IDisputes.Dispute memory dispute = disputes.disputeOf(id);
            if (dispute.phase != IDisputes.Phase.Resolved || disputes.committeeOf(id, 0).length == 0) continue;
            (uint256 guilty, uint256 innocent, uint256 silent) = votes(id, dispute.round);
            bool quorum = guilty + innocent > silent && guilty != innocent;
            if (dispute.verdict == IDisputes.Verdict.Guilty) {
                check(quorum && guilty > innocent, "guilty by a majority");
            }
            if (dispute.verdict == IDisputes.Verdict.Innocent) check(quorum && innocent > guilty, "innocent by one");
            if (dispute.verdict != IDisputes.Verdict.None || dispute.epoch == 0) continue;
            ISettlement.Status status = settlement.statusOf(dispute.epoch, dispute.line);
            check(status != ISettlement.Status.Finalised, "an undecided line pays nobody");
        }
    }

    function votes(uint256 id, uint256 round) private view returns (uint256, uint256, uint256) {
        uint256[3] memory said;
        address[] memory committee = disputes.committeeOf(id, round);
        for (uint256 i = 0; i < committee.length; ++i) {
            IDisputes.Ballot memory ballot = disputes.ballotOf(id, round, committee[i]);
            said[uint256(ballot.vote)] += ballot.seats;
            for (uint256 earlier = 0; earlier < round; ++earlier) {
                eq(disputes.ballotOf(id, earlier, committee[i]).seats, 0, "nobody judges twice");
            }
        }
        return (said[1], said[2], said[0]);
    }

    /// @dev The pool's weights are those of its members, and add up.
    function invariant_weightsAddUp() external view {
        uint256 sum = 0;
        for (uint256 i = 0; i < handler.OWNERS(); ++i) {
            sum += pool.weightOf(handler.ownerAt(i));
        }
        eq(pool.totalWeight(), sum, "total weight");
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

    function invariant_frozenLinesAreThoseInDispute() external view {
        uint256 next = settlement.nextEpoch();
        for (uint256 epoch = 1; epoch < next; ++epoch) {
            for (uint256 line = 0; line < 2; ++line) {
                uint256 open = 0;
                for (uint256 id = 1; id <= disputes.disputeCount(); ++id) {
                    IDisputes.Dispute memory dispute = disputes.disputeOf(id);
                    if (dispute.epoch != epoch || dispute.line != line) continue;
                    if (dispute.phase != IDisputes.Phase.Resolved) ++open;
                }
                check(isDisputed(epoch, line) == (open != 0), "disputed");
                eq(disputes.lineDocket(epoch, line).open, open, "open disputes");
            }
        }
    }

    function afterInvariant() external {
        handler.windUp();
        for (uint256 i = 0; i < handler.OWNERS(); ++i) {
            address owner = handler.ownerAt(i);
            uint256 stake = registry.nodeOf(owner).stake;
            uint256 most = pool.HOLD() + bondsOf(owner);
            atMost(registry.nodeOf(owner).locked, stake == 0 ? 0 : most, "every dispute's locks are undone");
        }
    }
}
