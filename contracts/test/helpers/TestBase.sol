// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { Vm } from "./Vm.sol";

/// @title TestBase
/// @notice Assertions that say what differed, and bounded fuzz inputs.
abstract contract TestBase {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    bool public constant IS_TEST = true;

    error NotTrue(string what);
    error NotEqual(uint256 left, uint256 right, string what);
    error NotEqualBytes32(bytes32 left, bytes32 right, string what);
    error NotEqualAddress(address left, address right, string what);
    error NotAtMost(uint256 left, uint256 right, string what);

    function check(bool condition, string memory what) internal pure {
        if (!condition) revert NotTrue(what);
    }

    function eq(uint256 left, uint256 right, string memory what) internal pure {
        if (left != right) revert NotEqual(left, right, what);
    }

    function eq(bytes32 left, bytes32 right, string memory what) internal pure {
        if (left != right) revert NotEqualBytes32(left, right, what);
    }

    function eq(address left, address right, string memory what) internal pure {
        if (left != right) revert NotEqualAddress(left, right, what);
    }

    function atMost(uint256 left, uint256 right, string memory what) internal pure {
        if (left > right) revert NotAtMost(left, right, what);
    }

    /// @dev Maps a fuzzed number into [low, high]; keeps the edges likely.
    function bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        if (value >= low && value <= high) return value;
        uint256 size = high - low + 1;
        if (size == 0) return value;
        if (value > type(uint256).max - 3) return high - (type(uint256).max - value) % size;
        return low + value % size;
    }

    function skip(uint256 duration) internal {
        vm.warp(block.timestamp + duration);
    }
}
