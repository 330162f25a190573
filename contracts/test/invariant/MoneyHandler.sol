// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IJobEscrow } from "../../src/interfaces/IJobEscrow.sol";
import { IRewards } from "../../src/interfaces/IRewards.sol";
import { ISettlement } from "../../src/interfaces/ISettlement.sol";
import { Settlement } from "../../src/Settlement.sol";
import { Merkle } from "../helpers/Merkle.sol";
import { MoodyToken } from "../helpers/Tokens.sol";
import { MoneyBooks } from "./MoneyBooks.sol";

/// @notice Random epochs of up to four lines, disputes, convictions, claims and forfeits. Plays the settler, the courts
/// and nodes. Trees may promise more than their line brings in.
contract MoneyHandler is MoneyBooks {
    constructor(Settlement settlement_, MoodyToken[2] memory tokens_) MoneyBooks(settlement_, tokens_) { }

    function propose(uint256 chosen, uint256[4] memory amounts, uint256 split) external {
        if (block.timestamp < settlement.pausedUntil() || _lines.length > 40) return;
        ISettlement.EpochContent memory content;
        content.epoch = settlement.nextEpoch();
        content.jobs = new ISettlement.JobSettlement[](4);
        uint256 count = 0;
        for (bytes32 jobId = _jobAfter(0, chosen); jobId != 0 && count < 4; jobId = _jobAfter(jobId, chosen)) {
            content.jobs[count] = _draft(content.epoch, count, jobId, amounts[count], split);
            ++count;
        }
        if (count == 0) return;
        ISettlement.JobSettlement[] memory drafted = content.jobs;
        assembly ("memory-safe") {
            mstore(drafted, count)
        }
        _contents[content.epoch] = abi.encode(content);
        settlement.proposeEpoch(content);
    }

    /// @dev Tries too early and while paused as well. A line that may be paid and whose token is honest must be paid.
    function finalise(uint256 which, uint64 lines) external {
        uint256 next = settlement.nextEpoch();
        if (next == 1) return;
        uint256 epoch = 1 + which % (next - 1);
        bool ripe = settlement.clock() >= settlement.epochOf(epoch).finalisableAt
            && block.timestamp >= settlement.pausedUntil();
        uint256 due = _count(epoch, lines);
        try settlement.finaliseLines(_contentOf(epoch), lines) {
            check(ripe && due != 0, "paid early, twice, rejected or disputed");
        } catch {
            check(!ripe || due == 0, "a ripe epoch was not paid");
            return;
        }
        for (uint256 i = 0; i < _lines.length; ++i) {
            if (_isDue(_lines[i], epoch, lines)) _noteTry(_lines[i]);
        }
        _noteBond(epoch);
    }

    function freeze(uint256 which) external {
        if (_lines.length == 0) return;
        Line storage line = _lines[which % _lines.length];
        if (line.status != ISettlement.Status.Pending) return;
        settlement.freeze(line.epoch, line.number);
        ++line.disputes;
    }

    /// @dev Found wrong seldom, or hardly any epoch would live.
    function unfreeze(uint256 which, uint256 wrong) external {
        if (_lines.length == 0) return;
        Line storage line = _lines[which % _lines.length];
        if (line.disputes == 0) return;
        settlement.unfreeze(line.epoch, line.number, wrong % 8 == 0);
        --line.disputes;
        if (wrong % 8 == 0) _noteConviction(line.epoch);
        _noteBond(line.epoch);
    }

    function reject(uint256 which) external {
        if (_lines.length == 0 || which % 4 != 0) return;
        Line storage line = _lines[(which >> 8) % _lines.length];
        if (line.status != ISettlement.Status.Pending) return;
        settlement.reject(line.epoch, line.number);
        line.status = ISettlement.Status.Rejected;
        _noteBond(line.epoch);
    }

    function unwind(uint256 which) external {
        if (_lines.length == 0) return;
        uint256 epoch = _lines[which % _lines.length].epoch;
        bool due = false;
        for (uint256 i = 0; i < _lines.length; ++i) {
            if (_lines[i].epoch != epoch || _lines[i].status != ISettlement.Status.Rejected) continue;
            (due, _lines[i].status) = (true, ISettlement.Status.Unwound);
        }
        if (due) settlement.unwindEpoch(_contentOf(epoch));
    }

    function claim(uint256 which, uint256 who) external {
        if (_lines.length == 0) return;
        _move(_lines[which % _lines.length], who % ACCOUNTS, false);
    }

    function forfeit(uint256 which, uint256 who) external {
        if (_lines.length == 0) return;
        _move(_lines[which % _lines.length], who % ACCOUNTS, true);
    }

    function hold(uint256 which, uint256 who, bool held) external {
        if (_lines.length == 0) return;
        Line storage line = _lines[which % _lines.length];
        bytes32 root = Merkle.root(_leavesOf(line));
        if (held) rewards.hold(line.epoch, line.jobId, root, who % ACCOUNTS);
        else rewards.release(line.epoch, line.jobId, root, who % ACCOUNTS);
        line.held[who % ACCOUNTS] = held;
    }

    /// @dev Ends everything that is under way; the invariants then look for money that is stuck.
    function windUp() external {
        tokens[0].setMood(MoodyToken.Mood.Honest);
        tokens[1].setMood(MoodyToken.Mood.Honest);
        for (uint256 i = 0; i < _lines.length; ++i) {
            Line storage line = _lines[i];
            for (; line.disputes != 0; --line.disputes) {
                settlement.unfreeze(line.epoch, line.number, false);
            }
            if (line.status == ISettlement.Status.Pending) settlement.reject(line.epoch, line.number);
            if (line.status == ISettlement.Status.Pending) line.status = ISettlement.Status.Rejected;
        }
        for (uint256 i = 0; i < _lines.length; ++i) {
            this.unwind(i);
        }
        for (uint256 i = 0; i < jobs.length; ++i) {
            if (escrow.jobOf(jobs[i]).closedAt == 0) escrow.close(jobs[i]);
        }
        skip(escrow.closeGrace() + settlement.MAX_PAUSE());
        for (uint256 i = 0; i < jobs.length; ++i) {
            if (escrow.jobOf(jobs[i]).available != 0) escrow.refund(jobs[i]);
        }
    }

    /// @dev Pays a leaf to its account, or back to its job. Does so exactly if it may.
    function _move(Line storage line, uint256 who, bool back) private {
        bytes32[] memory proof = Merkle.proof(_leavesOf(line), who);
        uint256 amount = line.leaves[who];
        bool honest = tokenOf[line.jobId].mood() == MoodyToken.Mood.Honest;
        bool possible = line.status == ISettlement.Status.Finalised && line.amount != 0
            && (line.gone[who] || (amount <= line.left && honest && (back || !line.held[who])));
        IRewards.Claim memory leaf = IRewards.Claim(line.epoch, line.jobId, who, accountOf(who), amount, proof);
        uint256 moved = 0;
        if (back) {
            try rewards.forfeit(leaf) returns (uint256 result) {
                moved = result;
            } catch {
                check(!possible, "a forfeit failed");
                return;
            }
        } else {
            try rewards.claim(leaf) returns (uint256 result) {
                moved = result;
            } catch {
                check(!possible, "a claim failed");
                return;
            }
        }
        check(possible, "paid what must not be");
        eq(moved, line.gone[who] ? 0 : amount, "once");
        (line.gone[who], line.left) = (true, line.left - moved);
        if (back) booksOf[line.jobId].paid -= moved;
    }

    function _draft(uint256 epoch, uint256 number, bytes32 jobId, uint256 amount, uint256 split)
        private
        returns (ISettlement.JobSettlement memory)
    {
        IJobEscrow.Job memory job = escrow.jobOf(jobId);
        amount = bound(amount, 0, job.available < job.allowance ? job.available : job.allowance);
        Line storage line = _lines.push();
        (line.epoch, line.number, line.jobId, line.amount) = (epoch, number, jobId, amount);
        line.status = ISettlement.Status.Pending;
        for (uint256 who = 0; who < ACCOUNTS; ++who) {
            // Twice what there is, on average, where the tree lies.
            uint256 most = split % 3 == 0 ? amount : amount / ACCOUNTS;
            line.leaves[who] = uint256(keccak256(abi.encode(split, number, who))) % (most + 1);
        }
        Books storage books = booksOf[jobId];
        if (books.since == 0) books.since = settlement.clock();
        books.taken += amount;
        // A cap at once, and then a cap for each period: no sequence of epochs and rejections takes more.
        uint256 period = escrow.capPeriod();
        uint256 time = period + settlement.clock() - books.since;
        atMost(books.taken * period, uint256(job.epochCap) * time, "cap over time");
        bytes32 root = Merkle.root(_leavesOf(line));
        return ISettlement.JobSettlement(jobId, amount, root, 0, keccak256("traces"), 1, 0, 0);
    }

    function _noteTry(Line storage line) private {
        bool honest = tokenOf[line.jobId].mood() == MoodyToken.Mood.Honest;
        if (!honest && line.amount != 0) {
            line.refused = true;
            return;
        }
        (line.status, line.left) = (ISettlement.Status.Finalised, line.amount);
        booksOf[line.jobId].paid += line.amount;
    }

    function _noteConviction(uint256 epoch) private {
        bondGone[epoch] = true;
        settlement.reinstate(address(this));
        for (uint256 i = 0; i < _lines.length; ++i) {
            Line storage line = _lines[i];
            bool falls = line.epoch == epoch && line.status == ISettlement.Status.Pending;
            if (falls) line.status = ISettlement.Status.Rejected;
        }
    }

    function _count(uint256 epoch, uint64 lines) private view returns (uint256 count) {
        for (uint256 i = 0; i < _lines.length; ++i) {
            if (_isDue(_lines[i], epoch, lines)) ++count;
        }
    }

    function _isDue(Line storage line, uint256 epoch, uint64 lines) private view returns (bool) {
        bool named = line.epoch == epoch && (lines >> line.number) & 1 == 1;
        return named && line.status == ISettlement.Status.Pending && line.disputes == 0;
    }
}
