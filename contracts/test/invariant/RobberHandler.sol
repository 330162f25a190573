// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { INodeRegistry } from "../../src/interfaces/INodeRegistry.sol";
import { IRewards } from "../../src/interfaces/IRewards.sol";
import { ISettlement } from "../../src/interfaces/ISettlement.sol";
import { NodeRegistry } from "../../src/NodeRegistry.sol";
import { R1Token } from "../../src/R1Token.sol";
import { Settlement } from "../../src/Settlement.sol";
import { Merkle } from "../helpers/Merkle.sol";
import { TestBase } from "../helpers/TestBase.sol";
import { PlainToken } from "../helpers/Tokens.sol";

/// @notice A settler who robs, in any order of steps, with puppets that dispute his own lines, against one honest
/// watcher and a court that decides right sooner or later. Governance forgives him now and then, and he goes on.
contract RobberHandler is TestBase {
    address public constant ROBBER = address(0x20BBE2);

    Settlement public immutable settlement;
    NodeRegistry public immutable registry;
    R1Token public immutable r1;
    PlainToken public immutable money;
    bytes32[2] public jobs;

    mapping(uint256 epoch => ISettlement.EpochContent) private _contents;
    /// @dev Lines that the watcher's dispute holds, until it is judged; bit n stands for line n.
    mapping(uint256 epoch => uint256) public watched;
    mapping(uint256 epoch => mapping(uint256 line => uint256)) public puppets;
    /// @dev Convicted epochs: the first conviction burns the bond.
    mapping(uint256 epoch => bool) public convicted;
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

    /// @dev All money to himself, whatever the lines take: of one job, or of both. The watcher sees it before time goes on.
    function rob(uint256 which, uint256 amount) external {
        uint256 epoch = settlement.nextEpoch();
        ISettlement.EpochContent storage content = _contents[epoch];
        delete content.jobs;
        content.epoch = epoch;
        for (uint256 i = 0; i < 2; ++i) {
            if (which % 3 == 2 || which % 3 == i) content.jobs.push(_lineOf(jobs[i], bound(amount, 0, 1000 ether)));
        }
        vm.prank(ROBBER);
        try settlement.proposeEpoch(content) {
            for (uint256 line = 0; line < content.jobs.length; ++line) {
                settlement.freeze(epoch, line);
                watched[epoch] |= 1 << line;
            }
        } catch { }
    }

    function dispute(uint256 which, uint256 line) external {
        uint256 epoch = _epochAt(which);
        if (epoch == 0) return;
        line = line % 2;
        try settlement.freeze(epoch, line) {
            ++puppets[epoch][line];
        } catch { }
    }

    /// @dev A dispute of a puppet's ends: in favour of the line, or with nobody judging it.
    function endDispute(uint256 which, uint256 line, bool undecided) external {
        uint256 epoch = _epochAt(which);
        line = line % 2;
        if (epoch == 0 || puppets[epoch][line] == 0) return;
        --puppets[epoch][line];
        settlement.unfreeze(epoch, line, false);
        bool pending = settlement.statusOf(epoch, line) == ISettlement.Status.Pending;
        if (undecided && pending) settlement.reject(epoch, line);
    }

    function judge(uint256 which, uint256 line) external {
        uint256 epoch = _epochAt(which);
        line = line % 2;
        if (epoch == 0 || (watched[epoch] >> line) & 1 == 0) return;
        uint256 bond = settlement.bondOf(epoch);
        check((bond != 0) != convicted[epoch], "a watched epoch has a bond until the first conviction");
        watched[epoch] &= ~(1 << line);
        convicted[epoch] = true;
        burned += bond;
        settlement.unfreeze(epoch, line, true);
        check(settlement.suspended(ROBBER), "suspended");
        check(settlement.epochOf(epoch).rejected == (1 << settlement.epochOf(epoch).lines) - 1, "all of it");
    }

    function finalise(uint256 which, uint64 lines) external {
        uint256 epoch = _epochAt(which);
        if (epoch == 0) return;
        vm.prank(ROBBER);
        try settlement.finaliseLines(_contents[epoch], lines) {
            revert NotTrue("a robbery was paid");
        } catch { }
    }

    /// @dev His own lines, and the pot of those who earned it, under any of the roots.
    function claim(uint256 which, uint256 amount, bool others) external {
        uint256 epoch = others ? 1 : _epochAt(which);
        if (epoch == 0) return;
        bytes32[] memory proof = new bytes32[](0);
        vm.prank(ROBBER);
        try settlement.rewards().claim(IRewards.Claim(epoch, jobs[which % 2], 0, ROBBER, amount, proof)) {
            revert NotTrue("the robber was paid");
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
            open = open || (watched[i] != 0 && !convicted[i]);
        }
        vm.prank(ROBBER);
        try registry.withdraw() {
            // Once convicted, only the court's own lock holds him, which is not played here.
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

    function _lineOf(bytes32 jobId, uint256 amount) private pure returns (ISettlement.JobSettlement memory) {
        bytes32 root = Merkle.rewardLeaf(0, ROBBER, type(uint96).max);
        return ISettlement.JobSettlement(jobId, amount, root, 0, keccak256("traces"), 1, 0, 0);
    }
}
