// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IDisputes } from "../src/interfaces/IDisputes.sol";
import { DisputeFixture } from "./helpers/DisputeFixture.sol";

/// @dev The largest committees that the parameters allow, in all rounds, by jurors of whom hardly one has two seats.
contract CourtSizeTest is DisputeFixture {
    /// @dev What a transaction may use (EIP-7825).
    uint256 private constant MOST = 16_777_216;
    uint256 private constant JURORS = 400;

    function setUp() public override {
        super.setUp();
        IDisputes.Parameters memory given = defaults();
        given.committeeSize = 15;
        (given.jurorFee, given.jurorStake) = (0.5 ether, 20 ether);
        disputes.setParameters(given);
        fillPool(JURORS);
    }

    function drawWithin(uint256 id) private {
        vm.roll(disputes.disputeOf(id).drawBlock + 1);
        uint256 before = gasleft();
        disputes.draw(id);
        atMost(before - gasleft(), MOST, "a draw");
    }

    /// @dev One committee silent, two overturned, and half of the last one: the most slashes and payments that can be.
    function test_theLongestDisputeEndsInOneTransaction() public {
        uint256 id = openLineDispute();
        answerAs(bob, id);
        for (uint256 sitting = 0; sitting < 4; ++sitting) {
            drawWithin(id);
            address[] memory committee = disputes.committeeOf(id, sitting);
            bool silent = sitting == 1;
            bool guilty = sitting == 2;
            vote(id, committee, silent ? 0 : guilty ? 31 : sitting == 3 ? 15 : 0, silent || guilty ? 0 : 31);
            vm.warp(disputes.disputeOf(id).revealUntil);
            uint256 before = gasleft();
            disputes.tally(id);
            atMost(before - gasleft(), MOST, "the end");
            if (sitting == 0 || sitting == 2) {
                vm.prank(sitting == 0 ? alice : bob);
                disputes.appeal(id);
            }
        }
        isPhase(id, IDisputes.Phase.Resolved);
        check(disputes.disputeOf(id).verdict == IDisputes.Verdict.Innocent, "verdict");
        for (uint256 i = 0; i < JURORS; ++i) {
            onlyPoolHolds(jurorAt(i));
        }
    }
}
