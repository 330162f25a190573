// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IJobEscrow } from "../../src/interfaces/IJobEscrow.sol";
import { JobEscrow } from "../../src/JobEscrow.sol";
import { Rewards } from "../../src/Rewards.sol";
import { TestBase } from "../helpers/TestBase.sol";
import { PlainToken } from "../helpers/Tokens.sol";

/// @dev Proved by halmos for all inputs (functions check_*); forge does not run these. This contract plays the
/// settlement.
contract SymbolicMoney is TestBase {
    PlainToken private money;
    Rewards private rewards;
    JobEscrow private escrow;

    function setUp() public {
        money = new PlainToken();
        rewards = new Rewards();
        escrow = new JobEscrow(address(rewards), 1, 1);
        money.approve(address(escrow), type(uint256).max);
    }

    /// @notice As the settlement has it, where nothing is ever paused.
    function clock() public view returns (uint256) {
        return block.timestamp;
    }

    function publish(address account, uint256 cumulative) private {
        rewards.publish(1, keccak256(bytes.concat(keccak256(abi.encode(address(money), account, cumulative)))));
    }

    /// @notice One leaf, claimed twice, pays once, however much the contract holds.
    function check_noDoubleClaim(address account, uint256 cumulative, uint256 held) public {
        vm.assume(account != address(0) && account != address(rewards));
        vm.assume(cumulative < type(uint256).max && held >= cumulative);
        money.mint(address(rewards), held);
        publish(account, cumulative);
        uint256 first = rewards.claim(address(money), account, cumulative, new bytes32[](0));
        uint256 second = rewards.claim(address(money), account, cumulative, new bytes32[](0));
        assert(first == cumulative && second == 0);
        assert(money.balanceOf(account) == cumulative);
    }

    /// @notice Two roots in a row never pay more than the larger of the two leaves, whichever comes first.
    function check_neverBeyondTheLeaf(address account, uint256 one, uint256 two, uint256 held) public {
        vm.assume(account != address(0) && account != address(rewards));
        vm.assume(one < type(uint256).max && two < type(uint256).max);
        uint256 most = one > two ? one : two;
        vm.assume(held >= most);
        money.mint(address(rewards), held);
        publish(account, one);
        rewards.claim(address(money), account, one, new bytes32[](0));
        publish(account, two);
        rewards.claim(address(money), account, two, new bytes32[](0));
        assert(rewards.claimed(address(money), account) == most);
        assert(money.balanceOf(account) == most);
        assert(money.balanceOf(address(rewards)) == held - most);
    }

    /// @notice Whatever is reserved and paid, the escrow holds what it owes, and pays within cap and funding.
    function check_solvencyThroughPay(uint128 amount, uint96 cap, uint96 reserved, uint96 paid) public {
        bytes32 jobId = reservedJob(amount, cap, reserved);
        escrow.pay(jobId, paid);
        IJobEscrow.Job memory job = escrow.jobOf(jobId);
        assert(reserved <= cap && reserved <= amount && paid <= reserved);
        assert(job.available == amount - reserved);
        assert(job.reserved == reserved - paid);
        assert(money.balanceOf(address(escrow)) == amount - paid);
        assert(money.balanceOf(address(rewards)) == paid);
    }

    /// @notice Whatever is reserved and taken back, nothing moves.
    function check_solvencyThroughUnreserve(uint128 amount, uint96 cap, uint96 reserved, uint96 back) public {
        bytes32 jobId = reservedJob(amount, cap, reserved);
        escrow.unreserve(jobId, back);
        IJobEscrow.Job memory job = escrow.jobOf(jobId);
        assert(back <= reserved);
        assert(job.reserved == reserved - back);
        assert(job.available == amount - reserved + back);
        assert(money.balanceOf(address(escrow)) == amount);
    }

    function reservedJob(uint128 amount, uint96 cap, uint96 reserved) private returns (bytes32 jobId) {
        vm.assume(amount != 0 && cap != 0);
        money.mint(address(this), amount);
        jobId = escrow.createJob(address(money), amount, cap, 0);
        escrow.reserve(jobId, reserved, clock());
    }

    /// @notice One job never spends another's money.
    function check_jobsAreApart(uint128 first, uint128 second, uint256 wanted) public {
        vm.assume(first != 0 && second != 0);
        money.mint(address(this), uint256(first) + second);
        bytes32 one = escrow.createJob(address(money), first, type(uint96).max, 0);
        bytes32 two = escrow.createJob(address(money), second, type(uint96).max, 0);
        escrow.reserve(one, wanted, clock());
        escrow.pay(one, wanted);
        assert(wanted <= first);
        assert(escrow.jobOf(two).available == second);
        assert(money.balanceOf(address(escrow)) >= second);
    }
}
