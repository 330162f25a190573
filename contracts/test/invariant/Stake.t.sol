// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { INodeRegistry } from "../../src/interfaces/INodeRegistry.sol";
import { Fixture } from "../helpers/Fixture.sol";
import { StakeHandler } from "./StakeHandler.sol";

contract StakeInvariants is Fixture {
    StakeHandler private handler;

    function setUp() public override {
        super.setUp();
        handler = new StakeHandler(registry, r1);
        registry.grantRole(registry.SLASHER_ROLE(), address(handler));
        r1.transfer(address(handler), SUPPLY);
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
        bytes4[] memory selectors = new bytes4[](9);
        selectors[0] = handler.register.selector;
        selectors[1] = handler.addStake.selector;
        selectors[2] = handler.deactivate.selector;
        selectors[3] = handler.reactivate.selector;
        selectors[4] = handler.withdraw.selector;
        selectors[5] = handler.lock.selector;
        selectors[6] = handler.unlock.selector;
        selectors[7] = handler.slash.selector;
        selectors[8] = handler.wait.selector;
        targets = new Selectors[](1);
        targets[0] = Selectors(address(handler), selectors);
    }

    function invariant_theRegistryHoldsExactlyAllStake() external view {
        uint256 total = 0;
        for (uint256 i = 0; i < handler.OWNERS(); ++i) {
            INodeRegistry.Node memory node = registry.nodeOf(handler.ownerAt(i));
            total += node.stake;
            uint256 held = handler.held(handler.ownerAt(i));
            eq(node.locked, held < node.stake ? held : node.stake, "locked");
            check(node.stake == 0 || node.debt == 0, "who owes has no stake");
        }
        eq(r1.balanceOf(address(registry)), total, "registry balance");
    }

    function invariant_slashedStakeIsBountyPlusBurn() external view {
        eq(r1.totalSupply(), SUPPLY - handler.burned(), "supply");
        eq(r1.balanceOf(handler.HUNTER()), handler.bounties(), "bounties");
        atMost(handler.bounties(), handler.burned(), "accusing oneself never pays");
    }

    function afterInvariant() external {
        handler.windUp();
        eq(r1.balanceOf(address(registry)), 0, "no stake is stuck");
    }
}
