// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { INodeRegistry } from "../../src/interfaces/INodeRegistry.sol";
import { ISettlement } from "../../src/interfaces/ISettlement.sol";
import { NodeRegistry } from "../../src/NodeRegistry.sol";
import { R1Token } from "../../src/R1Token.sol";
import { Settlement } from "../../src/Settlement.sol";
import { Merkle } from "../helpers/Merkle.sol";
import { TestBase } from "../helpers/TestBase.sol";
import { PlainToken } from "../helpers/Tokens.sol";

/// @notice A settler who robs, in any order of steps, with puppets that dispute his own epochs, against one honest
/// watcher and a court that decides right sooner or later. Governance forgives him now and then, and he goes on.
contract RobberHandler is TestBase {
    address public constant ROBBER = address(0x20BBE2);

    Settlement public immutable settlement;
    NodeRegistry public immutable registry;
    R1Token public immutable r1;
    PlainToken public immutable money;
    bytes32[2] public jobs;

    mapping(uint256 epoch => ISettlement.EpochContent) private _contents;
    /// @dev Epochs that the watcher's dispute holds, until it is judged.
    mapping(uint256 epoch => bool) public watched;
    mapping(uint256 epoch => uint256) public puppets;
    /// @notice What convictions should have burned, and what the robber put in.
    uint256 public burned;
    uint256 public put;

    constructor(Settlement settlement_, R1Token r1_, PlainToken money_, bytes32[2] memory jobs_) {
        settlement = settlement_;
        registry = NodeRegistry(address(settlement_.registry()));
        r1 = r1_;
        money = money_;
        jobs = jobs_;
    }

    function enter(uint256 stake) external {
        if (registry.nodeOf(ROBBER).stake != 0) return;
        stake = registry.nodeOf(ROBBER).debt + bound(stake, registry.minStake(), 20_000 ether);
        _pay(stake);
        vm.prank(ROBBER);
        registry.register(stake);
    }

    function addStake(uint256 amount) external {
        if (registry.nodeOf(ROBBER).stake == 0) return;
        amount = bound(amount, 1, 20_000 ether);
        _pay(amount);
        vm.prank(ROBBER);
        registry.addStake(amount);
    }

    /// @dev All money to himself, whatever the lines take. The watcher sees it before time goes on.
    function rob(uint256 which, uint256 amount) external {
        uint256 epoch = settlement.nextEpoch();
        ISettlement.EpochContent storage content = _contents[epoch];
        delete content.jobs;
        content.epoch = epoch;
        content.rewardsRoot = Merkle.rewardLeaf(address(money), ROBBER, type(uint128).max);
        amount = bound(amount, 0, 1000 ether);
        content.jobs.push(ISettlement.JobSettlement(jobs[which % 2], amount, keccak256("traces"), 1, 0, 0));
        vm.prank(ROBBER);
        try settlement.proposeEpoch(content) {
            settlement.freeze(epoch);
            watched[epoch] = true;
        } catch { }
    }

    function dispute(uint256 which) external {
        uint256 epoch = _epochAt(which);
        if (epoch == 0) return;
        try settlement.freeze(epoch) {
            ++puppets[epoch];
        } catch { }
    }

    /// @dev A dispute of a puppet's ends: in favour of the epoch, or with nobody judging it.
    function endDispute(uint256 which, bool undecided) external {
        uint256 epoch = _epochAt(which);
        if (epoch == 0 || puppets[epoch] == 0) return;
        --puppets[epoch];
        settlement.unfreeze(epoch, false);
        if (undecided && settlement.epochOf(epoch).status == ISettlement.Status.Pending) settlement.reject(epoch);
    }

    function judge(uint256 which) external {
        uint256 epoch = _epochAt(which);
        if (epoch == 0 || !watched[epoch]) return;
        (uint256 bond,) = settlement.standOf(epoch);
        check(bond != 0, "a watched epoch has a bond");
        watched[epoch] = false;
        burned += bond;
        settlement.unfreeze(epoch, true);
        check(settlement.suspended(ROBBER), "suspended");
    }

    function finalise(uint256 which, uint256 lines) external {
        uint256 epoch = _epochAt(which);
        if (epoch == 0) return;
        vm.prank(ROBBER);
        try settlement.finaliseInParts(_contents[epoch], lines % 2) {
            revert NotTrue("a robbery became final");
        } catch { }
    }

    function unwind(uint256 which) external {
        uint256 epoch = _epochAt(which);
        if (epoch == 0) return;
        try settlement.unwindEpoch(_contents[epoch]) { } catch { }
    }

    function forgive() external {
        settlement.reinstate(ROBBER);
    }

    function leave(bool back) external {
        vm.prank(ROBBER);
        if (back) try registry.reactivate() { } catch { } else try registry.deactivate() { } catch { }
    }

    function withdraw() external {
        uint256 next = settlement.nextEpoch();
        bool open = false;
        for (uint256 i = 1; i < next; ++i) {
            open = open || watched[i];
        }
        vm.prank(ROBBER);
        try registry.withdraw() {
            check(!open, "left before he was judged");
        } catch { }
    }

    function pause() external {
        try settlement.pause() { } catch { }
    }

    function wait(uint256 duration) external {
        skip(bound(duration, 1, 20 days));
    }

    /// @notice All R1 that the robber has, in his pocket and at stake.
    function wealth() external view returns (uint256) {
        INodeRegistry.Node memory node = registry.nodeOf(ROBBER);
        return uint256(node.stake) + r1.balanceOf(ROBBER);
    }

    function _epochAt(uint256 which) private view returns (uint256) {
        uint256 next = settlement.nextEpoch();
        return next == 1 ? 0 : 1 + which % (next - 1);
    }

    function _pay(uint256 amount) private {
        r1.transfer(ROBBER, amount);
        put += amount;
        vm.prank(ROBBER);
        r1.approve(address(registry), amount);
    }
}
