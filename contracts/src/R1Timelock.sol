// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { TimelockController } from "@openzeppelin/contracts/governance/TimelockController.sol";

/// @title R1Timelock
/// @notice Holds the admin role of every contract; runs what the governor has decided, after a delay. Anyone may execute.
contract R1Timelock is TimelockController {
    /// @param minDelay Seconds between decision and execution.
    /// @param admin Names the governor as proposer, and then renounces.
    constructor(uint256 minDelay, address admin) TimelockController(minDelay, new address[](0), _anyone(), admin) { }

    function _anyone() private pure returns (address[] memory executors) {
        executors = new address[](1);
    }
}
