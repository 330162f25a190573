// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IJobEscrow } from "../../src/interfaces/IJobEscrow.sol";
import { IRewards } from "../../src/interfaces/IRewards.sol";
import { ISettlement } from "../../src/interfaces/ISettlement.sol";
import { Settlement } from "../../src/Settlement.sol";
import { Merkle } from "../helpers/Merkle.sol";
import { TestBase } from "../helpers/TestBase.sol";
import { MoodyToken } from "../helpers/Tokens.sol";

/// @notice Random jobs in two tokens that refuse at times, and books of all money, independent of the contracts', for the
/// invariants to compare with.
abstract contract MoneyBooks is TestBase {
    uint256 public constant ACCOUNTS = 4;

    struct Line {
        uint256 epoch;
        uint256 number;
        bytes32 jobId;
        uint256 amount;
        ISettlement.Status status;
        uint256 disputes;
        bool refused;
        uint256 left;
        uint256[4] leaves;
        bool[4] gone;
        bool[4] held;
    }

    struct Books {
        uint256 funded;
        uint256 paid;
        uint256 refunded;
        uint256 taken;
        uint256 since;
    }

    Settlement public immutable settlement;
    IJobEscrow public immutable escrow;
    IRewards public immutable rewards;
    MoodyToken[2] public tokens;

    bytes32[] public jobs;
    mapping(bytes32 jobId => MoodyToken) public tokenOf;
    mapping(bytes32 jobId => Books) public booksOf;
    Line[] internal _lines;
    mapping(uint256 epoch => bytes) internal _contents;
    /// @notice Epochs that once had no line left to try or to judge, or whose proposer was convicted.
    mapping(uint256 epoch => bool) public bondGone;

    constructor(Settlement settlement_, MoodyToken[2] memory tokens_) {
        settlement = settlement_;
        escrow = settlement_.escrow();
        rewards = settlement_.rewards();
        tokens = tokens_;
        tokens[0].approve(address(escrow), type(uint256).max);
        tokens[1].approve(address(escrow), type(uint256).max);
    }

    function accountOf(uint256 index) public pure returns (address) {
        return address(uint160(0x1000 + index));
    }

    function jobCount() external view returns (uint256) {
        return jobs.length;
    }

    function lineCount() external view returns (uint256) {
        return _lines.length;
    }

    function lineAt(uint256 index) external view returns (Line memory) {
        return _lines[index];
    }

    function createJob(uint256 amount, uint256 cap) external {
        if (jobs.length == 6) return;
        amount = bound(amount, 1, 1e24);
        MoodyToken token = tokens[jobs.length % 2];
        token.mint(address(this), amount);
        bytes32 jobId = escrow.createJob(address(token), amount, bound(cap, 1, 1e24), 0);
        (tokenOf[jobId], booksOf[jobId].funded) = (token, amount);
        jobs.push(jobId);
    }

    function topUp(uint256 which, uint256 amount) external {
        bytes32 jobId = jobs[which % jobs.length];
        if (escrow.jobOf(jobId).closedAt != 0) return;
        amount = bound(amount, 1, 1e24);
        tokenOf[jobId].mint(address(this), amount);
        escrow.topUp(jobId, amount);
        booksOf[jobId].funded += amount;
    }

    function close(uint256 which) external {
        bytes32 jobId = jobs[which % jobs.length];
        // One job stays open, so that runs don't come to an early end.
        if (jobId == jobs[0] || escrow.jobOf(jobId).closedAt != 0) return;
        escrow.close(jobId);
    }

    function refund(uint256 which) external {
        bytes32 jobId = jobs[which % jobs.length];
        IJobEscrow.Job memory job = escrow.jobOf(jobId);
        bool honest = tokenOf[jobId].mood() == MoodyToken.Mood.Honest;
        bool due = job.available != 0 && job.closedAt != 0 && honest
            && settlement.clock() >= job.closedAt + escrow.closeGrace();
        try escrow.refund(jobId) returns (uint256 amount) {
            check(due, "refunded early");
            booksOf[jobId].refunded += amount;
        } catch {
            check(!due, "a due refund failed");
        }
    }

    /// @dev One of the tokens refuses, or no longer does.
    function sulk(uint256 which, bool refuses) external {
        tokens[which % 2].setMood(refuses ? MoodyToken.Mood.ReturnsFalse : MoodyToken.Mood.Honest);
    }

    function pause() external {
        uint256 until = settlement.pausedUntil();
        if (until != 0 && block.timestamp < until + settlement.MAX_PAUSE()) return;
        settlement.pause();
    }

    function wait(uint256 duration) external {
        skip(bound(duration, 1, 1 days));
    }

    function rootOf(uint256 index) external view returns (bytes32) {
        return Merkle.root(_leavesOf(_lines[index]));
    }

    function _noteBond(uint256 epoch) internal {
        bool open = false;
        for (uint256 i = 0; i < _lines.length; ++i) {
            Line storage line = _lines[i];
            bool untried = line.status == ISettlement.Status.Pending && !line.refused;
            open = open || (line.epoch == epoch && (untried || line.disputes != 0));
        }
        if (!open) bondGone[epoch] = true;
    }

    /// @dev The next chosen job by id that may be settled still.
    function _jobAfter(bytes32 last, uint256 chosen) internal view returns (bytes32 found) {
        for (uint256 i = 0; i < jobs.length; ++i) {
            uint256 closedAt = escrow.jobOf(jobs[i]).closedAt;
            bool open = closedAt == 0 || settlement.clock() < closedAt + escrow.closeGrace();
            bool next = jobs[i] > last && (found == 0 || jobs[i] < found);
            if (open && next && (chosen >> i) & 1 == 1) found = jobs[i];
        }
    }

    function _contentOf(uint256 epoch) internal view returns (ISettlement.EpochContent memory) {
        return abi.decode(_contents[epoch], (ISettlement.EpochContent));
    }

    function _leavesOf(Line storage line) internal view returns (bytes32[] memory leaves) {
        leaves = new bytes32[](ACCOUNTS);
        for (uint256 i = 0; i < ACCOUNTS; ++i) {
            leaves[i] = Merkle.rewardLeaf(i, accountOf(i), line.leaves[i]);
        }
    }
}
