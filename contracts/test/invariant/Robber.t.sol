// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ISettlement } from "../../src/interfaces/ISettlement.sol";
import { ISettlerBonds } from "../../src/interfaces/ISettlerBonds.sol";
import { Fixture } from "../helpers/Fixture.sol";
import { RobberHandler } from "./RobberHandler.sol";

contract RobberInvariants is Fixture {
    RobberHandler private handler;

    function setUp() public override {
        super.setUp();
        settlement.setBondTerms(ISettlerBonds.BondTerms(500 ether, 1 ether));
        bytes32[2] memory jobs = [fund(alice, 100_000 ether, 1000 ether), fund(carol, 100_000 ether, 1000 ether)];
        if (jobs[0] > jobs[1]) (jobs[0], jobs[1]) = (jobs[1], jobs[0]);
        // Someone else's earned, unclaimed pay is there to be robbed as well.
        settle(jobs[0], 1000 ether, keccak256("earned"));
        handler = new RobberHandler(settlement, r1, money, jobs);
        settlement.grantRole(settlement.SETTLER_ROLE(), handler.ROBBER());
        settlement.grantRole(settlement.DISPUTES_ROLE(), address(handler));
        settlement.grantRole(settlement.GUARDIAN_ROLE(), address(handler));
        settlement.grantRole(settlement.DEFAULT_ADMIN_ROLE(), address(handler));
        r1.transfer(address(handler), SUPPLY / 2);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_theRobberEndsWithWhatHeStakedLessTheBonds() external view {
        eq(money.balanceOf(handler.ROBBER()), 0, "no money");
        uint256 debt = registry.nodeOf(handler.ROBBER()).debt;
        // Debts are part of what was burned, or will be.
        eq(handler.wealth() + handler.burned(), handler.put() + debt, "wealth + burned = put in + debt");
    }

    function invariant_noRobberyPays() external view {
        eq(rewards.leftOf(1, handler.jobs(0), keccak256("earned")), 1000 ether, "the earned pot");
        eq(money.balanceOf(address(rewards)), 1000 ether, "earned pay");
        uint256 next = settlement.nextEpoch();
        for (uint256 i = 2; i < next; ++i) {
            eq(settlement.epochOf(i).paid, 0, "paid");
        }
        eq(money.balanceOf(address(escrow)), 200_000 ether - 1000 ether, "the jobs' money");
    }

    function invariant_everyRobberyUnderWatchHasItsBond() external view {
        uint256 next = settlement.nextEpoch();
        for (uint256 i = 2; i < next; ++i) {
            bool first = handler.watched(i) != 0 && !handler.convicted(i);
            check(!first || settlement.bondOf(i) >= 500 ether, "bond");
        }
    }
}
