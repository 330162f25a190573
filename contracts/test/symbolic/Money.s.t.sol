// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IJobEscrow } from "../../src/interfaces/IJobEscrow.sol";
import { IRewards } from "../../src/interfaces/IRewards.sol";
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

    function claimOf(uint256 index, address account, uint256 amount) private pure returns (IRewards.Claim memory) {
        return IRewards.Claim(1, 0, index, account, amount, new bytes32[](0));
    }

    function leafOf(uint256 index, address account, uint256 amount) private pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(index, account, amount))));
    }

    /// @notice One leaf, claimed twice, pays once, however much the contract holds.
    function check_noDoubleClaim(uint256 index, address account, uint96 amount, uint96 held) public {
        vm.assume(account != address(0) && account != address(rewards) && held >= amount);
        money.mint(address(rewards), held);
        rewards.fund(1, 0, leafOf(index, account, amount), address(money), held);
        uint256 first = rewards.claim(claimOf(index, account, amount));
        uint256 second = rewards.claim(claimOf(index, account, amount));
        assert(first == amount && second == 0);
        assert(money.balanceOf(account) == amount);
    }

    /// @notice A leaf never takes more than its pot, and leaves another pot of the same token as it was.
    function check_potsAreApart(uint256 index, address account, uint256 amount, uint96 own, uint96 others) public {
        vm.assume(account != address(0) && account != address(rewards));
        money.mint(address(rewards), uint256(own) + others);
        rewards.fund(1, 0, leafOf(index, account, amount), address(money), own);
        rewards.fund(2, 0, keccak256("others"), address(money), others);
        rewards.claim(claimOf(index, account, amount));
        assert(amount <= own);
        assert(rewards.leftOf(1, 0, leafOf(index, account, amount)) == own - amount);
        assert(rewards.leftOf(2, 0, keccak256("others")) == others);
        assert(money.balanceOf(address(rewards)) == uint256(own) - amount + others);
    }

    /// @notice Whatever is reserved and paid, the escrow holds what it owes, and pays within cap and funding.
    function check_solvencyThroughPay(uint128 amount, uint96 cap, uint96 reserved, uint96 paid) public {
        bytes32 jobId = reservedJob(amount, cap, reserved);
        (bool moved,) = escrow.pay(jobId, paid);
        assert(moved);
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
