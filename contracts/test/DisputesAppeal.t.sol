// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IDisputes } from "../src/interfaces/IDisputes.sol";
import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { DisputeFixture } from "./helpers/DisputeFixture.sol";

/// @dev The one appeal.
contract DisputesAppealTest is DisputeFixture {
    function setUp() public override {
        super.setUp();
        fillPool(9);
    }

    function answered() private returns (uint256 id) {
        id = openEpochDispute();
        answerAs(bob, id);
    }

    function testFuzz_onlyTheLoserAppealsInTime(bool guilty, uint256 late) public {
        uint256 id = answered();
        judge(id, guilty ? 3 : 0, guilty ? 0 : 3);
        (address loser, address winner) = guilty ? (bob, alice) : (alice, bob);
        uint256 deadline = block.timestamp + APPEAL;
        vm.prank(winner);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.NotParty.selector, id, winner));
        disputes.appeal(id);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.TooEarly.selector, deadline));
        disputes.resolve(id);
        skip(bound(late, APPEAL, 365 days));
        vm.prank(loser);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.TooLate.selector, deadline));
        disputes.appeal(id);
    }

    function testFuzz_anAppealIsFinal(bool firstGuilty, bool thenGuilty) public {
        uint256 id = answered();
        judge(id, firstGuilty ? 3 : 0, firstGuilty ? 0 : 3);
        vm.prank(firstGuilty ? bob : alice);
        disputes.appeal(id);
        judge(id, thenGuilty ? 7 : 0, thenGuilty ? 0 : 7);
        isPhase(id, IDisputes.Phase.Resolved);
        eq(disputes.committeeOf(id, 1).length, 7, "larger committee");
        uint256 bobLoses = thenGuilty ? PENALTY + (firstGuilty ? BOND : 0) : 0;
        uint256 aliceLoses = thenGuilty ? 0 : BOND + (firstGuilty ? 0 : BOND);
        eq(registry.nodeOf(bob).stake, STAKE - bobLoses, "accused");
        eq(registry.nodeOf(alice).stake, STAKE - aliceLoses, "challenger");
        isStatus(1, thenGuilty ? ISettlement.Status.Rejected : ISettlement.Status.Pending);
        nothingLocked(alice);
        nothingLocked(bob);
        vm.prank(alice);
        vm.expectPartialRevert(IDisputes.WrongPhase.selector);
        disputes.appeal(id);
    }

    function testFuzz_anAppealThatNobodyJudgesChangesNothing(bool guilty) public {
        uint256 id = answered();
        judge(id, guilty ? 3 : 0, guilty ? 0 : 3);
        vm.prank(guilty ? bob : alice);
        disputes.appeal(id);
        judge(id, 0, 0);
        isStatus(1, guilty ? ISettlement.Status.Rejected : ISettlement.Status.Pending);
        nothingLocked(alice);
        nothingLocked(bob);
    }

    function test_anAppealNeedsItsBond() public {
        uint256 id = answered();
        judge(id, 0, 3);
        registry.lock(alice, STAKE);
        vm.prank(alice);
        vm.expectPartialRevert(IDisputes.BondNotCovered.selector);
        disputes.appeal(id);
    }
}
