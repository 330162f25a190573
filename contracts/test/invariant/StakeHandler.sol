// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { INodeRegistry } from "../../src/interfaces/INodeRegistry.sol";
import { NodeRegistry } from "../../src/NodeRegistry.sol";
import { R1Token } from "../../src/R1Token.sol";
import { TestBase } from "../helpers/TestBase.sol";

/// @notice Random owners that stake, leave, and are locked, unlocked and slashed. Plays the disputes contract too.
contract StakeHandler is TestBase {
    uint256 public constant OWNERS = 5;

    NodeRegistry public immutable registry;
    R1Token public immutable r1;

    uint256 public burned;
    uint256 public bounties;
    /// @notice What locks hold that were not undone.
    mapping(address owner => uint256) public held;
    address public constant HUNTER = address(0xB0117);

    constructor(NodeRegistry registry_, R1Token r1_) {
        registry = registry_;
        r1 = r1_;
    }

    function ownerAt(uint256 index) public pure returns (address) {
        return address(uint160(0x2000 + index % OWNERS));
    }

    function register(uint256 who, uint256 stake) external {
        address owner = ownerAt(who);
        INodeRegistry.Node memory node = registry.nodeOf(owner);
        if (node.stake != 0) return;
        stake = node.debt + bound(stake, registry.minStake(), 1e24);
        _fund(owner, stake);
        burned += node.debt;
        vm.prank(owner);
        registry.register(stake);
    }

    function addStake(uint256 who, uint256 amount) external {
        address owner = ownerAt(who);
        INodeRegistry.Node memory node = registry.nodeOf(owner);
        if (node.stake == 0 && node.debt == 0) return;
        amount = bound(amount, 0, 1e24);
        burned += amount < node.debt ? amount : node.debt;
        _fund(owner, amount);
        vm.prank(owner);
        registry.addStake(amount);
    }

    function deactivate(uint256 who) external {
        INodeRegistry.Node memory node = registry.nodeOf(ownerAt(who));
        if (node.stake == 0 || node.exitAt != 0) return;
        vm.prank(ownerAt(who));
        registry.deactivate();
    }

    function reactivate(uint256 who) external {
        INodeRegistry.Node memory node = registry.nodeOf(ownerAt(who));
        if (node.stake == 0 || node.exitAt == 0) return;
        vm.prank(ownerAt(who));
        registry.reactivate();
    }

    function withdraw(uint256 who) external {
        address owner = ownerAt(who);
        INodeRegistry.Node memory node = registry.nodeOf(owner);
        if (node.exitAt == 0 || node.stake == 0) return;
        vm.prank(owner);
        try registry.withdraw() {
            check(block.timestamp >= node.exitAt && held[owner] == 0, "withdrawn early");
        } catch {
            check(block.timestamp < node.exitAt || held[owner] != 0, "a due withdrawal failed");
        }
    }

    function lock(uint256 who, uint256 amount) external {
        uint256 locked = registry.lock(ownerAt(who), bound(amount, 0, 1e25));
        held[ownerAt(who)] += locked;
        atMost(locked, registry.nodeOf(ownerAt(who)).stake, "locked");
    }

    function unlock(uint256 who, uint256 amount) external {
        amount = bound(amount, 0, held[ownerAt(who)]);
        held[ownerAt(who)] -= amount;
        registry.unlock(ownerAt(who), amount);
    }

    function slash(uint256 who, uint256 amount, uint256 bounty) external {
        amount = bound(amount, 0, 2e24);
        bounty = bound(bounty, 0, amount / 2);
        uint256 stake = registry.nodeOf(ownerAt(who)).stake;
        uint256 paid = registry.slash(ownerAt(who), amount, HUNTER, bounty);
        bounties += paid;
        burned += (amount < stake ? amount : stake) - paid;
    }

    function wait(uint256 duration) external {
        skip(bound(duration, 1, 20 days));
    }

    /// @dev Everybody leaves.
    function windUp() external {
        for (uint256 i = 0; i < OWNERS; ++i) {
            INodeRegistry.Node memory node = registry.nodeOf(ownerAt(i));
            registry.unlock(ownerAt(i), held[ownerAt(i)]);
            if (node.stake != 0 && node.exitAt == 0) {
                vm.prank(ownerAt(i));
                registry.deactivate();
            }
        }
        skip(registry.unbondingDelay());
        for (uint256 i = 0; i < OWNERS; ++i) {
            if (registry.nodeOf(ownerAt(i)).stake == 0) continue;
            vm.prank(ownerAt(i));
            registry.withdraw();
        }
    }

    function _fund(address owner, uint256 amount) private {
        r1.transfer(owner, amount);
        vm.prank(owner);
        r1.approve(address(registry), amount);
    }
}
