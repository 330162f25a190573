// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IJobEscrow } from "../../src/interfaces/IJobEscrow.sol";
import { ISettlement } from "../../src/interfaces/ISettlement.sol";
import { JobEscrow } from "../../src/JobEscrow.sol";
import { Rewards } from "../../src/Rewards.sol";
import { Settlement } from "../../src/Settlement.sol";
import { Merkle } from "../helpers/Merkle.sol";
import { TestBase } from "../helpers/TestBase.sol";
import { PlainToken } from "../helpers/Tokens.sol";

/// @notice Random jobs, epochs, disputes and claims. Plays submitters, the settler, the disputes contract and nodes.
/// @dev Keeps its own books, independent of the contracts', for the invariants to compare with.
contract MoneyHandler is TestBase {
    uint256 public constant ACCOUNTS = 4;

    Settlement public immutable settlement;
    JobEscrow public immutable escrow;
    Rewards public immutable rewards;
    PlainToken public immutable money;

    bytes32[] public jobs;
    mapping(bytes32 jobId => uint256) public funded;
    mapping(bytes32 jobId => uint256) public refunded;
    mapping(bytes32 jobId => uint256) public paid;

    uint256[] public pending;
    mapping(uint256 epoch => ISettlement.EpochContent) private _contents;
    mapping(uint256 epoch => uint256[4]) private _leaves;
    mapping(uint256 epoch => bytes32) public finalRoot;
    mapping(uint256 epoch => bytes32) public finalContent;
    uint256 public lastFinal;
    uint256 public finalisedIn;
    uint256[4] public claimed;
    mapping(uint256 epoch => uint256) public frozen;
    /// @notice What a job's epochs took since its first one, and when that was.
    mapping(bytes32 jobId => uint256) public taken;
    mapping(bytes32 jobId => uint256) public since;
    uint256[] public rejected;

    constructor(Settlement settlement_, PlainToken money_) {
        settlement = settlement_;
        escrow = settlement_.escrow();
        rewards = settlement_.rewards();
        money = money_;
        money.approve(address(escrow), type(uint256).max);
    }

    function accountOf(uint256 index) public pure returns (address) {
        return address(uint160(0x1000 + index));
    }

    function jobCount() external view returns (uint256) {
        return jobs.length;
    }

    function createJob(uint256 amount, uint256 cap) external {
        if (jobs.length == 6) return;
        amount = bound(amount, 1, 1e24);
        money.mint(address(this), amount);
        bytes32 jobId = escrow.createJob(address(money), amount, bound(cap, 1, 1e24), 0);
        jobs.push(jobId);
        funded[jobId] = amount;
    }

    function topUp(uint256 which, uint256 amount) external {
        (bytes32 jobId, IJobEscrow.Job memory job) = _job(which);
        if (jobId == 0 || job.closedAt != 0) return;
        amount = bound(amount, 1, 1e24);
        money.mint(address(this), amount);
        escrow.topUp(jobId, amount);
        funded[jobId] += amount;
    }

    function close(uint256 which) external {
        (bytes32 jobId, IJobEscrow.Job memory job) = _job(which);
        // One job stays open, so that runs don't come to an early end.
        if (jobId == 0 || job.closedAt != 0 || jobId == jobs[0]) return;
        escrow.close(jobId);
    }

    function refund(uint256 which) external {
        (bytes32 jobId, IJobEscrow.Job memory job) = _job(which);
        if (jobId == 0 || job.available == 0) return;
        bool due = job.closedAt != 0 && job.reserved == 0 && settlement.clock() >= job.closedAt + escrow.closeGrace();
        try escrow.refund(jobId) returns (uint256 amount) {
            check(due, "refunded early");
            refunded[jobId] += amount;
        } catch {
            check(!due, "a due refund failed");
        }
    }

    function propose(uint256 which, uint256 amount, uint256 split) external {
        (bytes32 jobId, IJobEscrow.Job memory job) = _job(which);
        if (jobId == 0 || pending.length == 10 || block.timestamp < settlement.pausedUntil()) return;
        if (job.closedAt != 0 && settlement.clock() >= job.closedAt + escrow.closeGrace()) return;
        uint256 most = job.available < job.allowance ? job.available : job.allowance;
        amount = bound(amount, 0, most);
        uint256 epoch = settlement.nextEpoch();
        uint256 base = pending.length == 0 ? lastFinal : pending[pending.length - 1];
        _share(epoch, base, amount, split);
        ISettlement.EpochContent storage content = _contents[epoch];
        content.epoch = epoch;
        content.rewardsRoot = Merkle.root(leavesOf(epoch));
        content.jobs.push(ISettlement.JobSettlement(jobId, amount, keccak256("traces"), 1, 0, 0));
        settlement.proposeEpoch(content);
        pending.push(epoch);
        _reckonCap(jobId, job.epochCap, amount);
    }

    /// @dev Tries too early, while frozen and while paused as well: that must fail, and a ripe epoch must never fail.
    function finalise(bool inParts) external {
        if (pending.length == 0) return;
        uint256 epoch = pending[0];
        ISettlement.EpochContent memory content = _contents[epoch];
        bool ripe = settlement.clock() >= settlement.epochOf(epoch).finalisableAt && frozen[epoch] == 0
            && block.timestamp >= settlement.pausedUntil();
        if (inParts && ripe) settlement.finaliseInParts(content, 0);
        try settlement.finaliseEpoch(content) {
            check(ripe, "final early or while disputed");
        } catch {
            check(!ripe, "a ripe epoch could not become final");
            return;
        }
        _removeFrom(0, 1);
        lastFinal = epoch;
        finalRoot[epoch] = content.rewardsRoot;
        finalContent[epoch] = keccak256(abi.encode(content));
        finalisedIn += content.jobs[0].amount;
        paid[content.jobs[0].jobId] += content.jobs[0].amount;
    }

    function freeze(uint256 which) external {
        if (pending.length == 0) return;
        uint256 epoch = pending[which % pending.length];
        settlement.freeze(epoch);
        ++frozen[epoch];
    }

    function unfreeze(uint256 which) external {
        if (pending.length == 0) return;
        uint256 epoch = pending[which % pending.length];
        if (frozen[epoch] == 0) return;
        settlement.unfreeze(epoch, false);
        --frozen[epoch];
    }

    function reject(uint256 which) external {
        // Seldom, or hardly any epoch would live.
        if (pending.length == 0 || which % 4 != 0) return;
        uint256 from = (which >> 8) % pending.length;
        settlement.reject(pending[from]);
        for (uint256 i = from; i < pending.length; ++i) {
            rejected.push(pending[i]);
        }
        _removeFrom(from, pending.length - from);
    }

    function unwind() external {
        if (rejected.length == 0) return;
        uint256 epoch = rejected[rejected.length - 1];
        rejected.pop();
        _thaw(epoch);
        settlement.unwindEpoch(_contents[epoch]);
    }

    function pause() external {
        uint256 until = settlement.pausedUntil();
        if (until != 0 && block.timestamp < until + settlement.MAX_PAUSE()) return;
        settlement.pause();
    }

    function claim(uint256 who) external {
        if (lastFinal == 0) return;
        who = who % ACCOUNTS;
        uint256 cumulative = _leaves[lastFinal][who];
        bytes32[] memory proof = Merkle.proof(leavesOf(lastFinal), who);
        uint256 amount = rewards.claim(address(money), accountOf(who), cumulative, proof);
        eq(amount, cumulative - claimed[who], "a claim pays exactly the difference");
        claimed[who] = cumulative;
    }

    function wait(uint256 duration) external {
        skip(bound(duration, 1, 1 days));
    }

    /// @dev Ends everything that is under way; the invariants then look for money that is stuck.
    function windUp() external {
        for (uint256 i = 0; i < pending.length; ++i) {
            _thaw(pending[i]);
        }
        for (uint256 i = 0; i < rejected.length; ++i) {
            _thaw(rejected[i]);
        }
        if (pending.length != 0) settlement.reject(pending[0]);
        for (uint256 i = 0; i < pending.length; ++i) {
            settlement.unwindEpoch(_contents[pending[i]]);
        }
        for (uint256 i = 0; i < rejected.length; ++i) {
            settlement.unwindEpoch(_contents[rejected[i]]);
        }
        for (uint256 i = 0; i < jobs.length; ++i) {
            if (escrow.jobOf(jobs[i]).closedAt == 0) escrow.close(jobs[i]);
        }
        skip(escrow.closeGrace() + settlement.MAX_PAUSE());
        for (uint256 i = 0; i < jobs.length; ++i) {
            if (escrow.jobOf(jobs[i]).available != 0) escrow.refund(jobs[i]);
        }
        for (uint256 who = 0; who < ACCOUNTS && lastFinal != 0; ++who) {
            bytes32[] memory proof = Merkle.proof(leavesOf(lastFinal), who);
            rewards.claim(address(money), accountOf(who), _leaves[lastFinal][who], proof);
        }
    }

    function leavesOf(uint256 epoch) public view returns (bytes32[] memory leaves) {
        leaves = new bytes32[](ACCOUNTS);
        for (uint256 i = 0; i < ACCOUNTS; ++i) {
            leaves[i] = Merkle.rewardLeaf(address(money), accountOf(i), _leaves[epoch][i]);
        }
    }

    function leafOf(uint256 epoch, uint256 who) external view returns (uint256) {
        return _leaves[epoch][who];
    }

    function _thaw(uint256 epoch) private {
        for (; frozen[epoch] != 0; --frozen[epoch]) {
            settlement.unfreeze(epoch, false);
        }
    }

    /// @dev A cap at once, and then a cap for each period: no sequence of epochs and rejections takes more.
    function _reckonCap(bytes32 jobId, uint256 cap, uint256 amount) private {
        if (since[jobId] == 0) since[jobId] = settlement.clock();
        taken[jobId] += amount;
        uint256 period = escrow.capPeriod();
        atMost(taken[jobId] * period, cap * (period + settlement.clock() - since[jobId]), "cap over time");
    }

    function _share(uint256 epoch, uint256 base, uint256 amount, uint256 split) private {
        uint256 first = amount == 0 ? 0 : split % (amount + 1);
        _leaves[epoch] = _leaves[base];
        _leaves[epoch][split % ACCOUNTS] += first;
        _leaves[epoch][(split >> 8) % ACCOUNTS] += amount - first;
    }

    function _job(uint256 which) private view returns (bytes32 jobId, IJobEscrow.Job memory job) {
        if (jobs.length == 0) return (0, job);
        jobId = jobs[which % jobs.length];
        job = escrow.jobOf(jobId);
    }

    function _removeFrom(uint256 index, uint256 count) private {
        for (uint256 i = index; i + count < pending.length; ++i) {
            pending[i] = pending[i + count];
        }
        for (uint256 i = 0; i < count; ++i) {
            pending.pop();
        }
    }
}
