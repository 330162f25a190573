// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { JobEscrow } from "../../src/JobEscrow.sol";
import { TestBase } from "./TestBase.sol";
import { PlainToken } from "./Tokens.sol";

/// @title EscrowFixture
/// @notice An escrow alone. This contract plays the settlement.
abstract contract EscrowFixture is TestBase {
    uint256 internal constant GRACE = 2 days;
    uint256 internal constant PERIOD = 1 days;
    address internal constant REWARDS = address(0x4E3A4D);
    address internal constant ALICE = address(0xA11CE);

    JobEscrow internal escrow;
    PlainToken internal money;
    uint256 internal paused;

    function setUp() public {
        vm.warp(1_800_000_000);
        escrow = new JobEscrow(REWARDS, GRACE, PERIOD);
        money = new PlainToken();
    }

    /// @notice As the settlement has it: Unix time without the pauses.
    function clock() public view returns (uint256) {
        return block.timestamp - paused;
    }

    function create(uint256 amount, uint256 cap) internal returns (bytes32 jobId) {
        money.mint(ALICE, amount);
        vm.startPrank(ALICE);
        money.approve(address(escrow), type(uint256).max);
        jobId = escrow.createJob(address(money), amount, cap, keccak256("spec"));
        vm.stopPrank();
    }
}
