// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title LineSet
/// @notice A set of an epoch's lines: bit n stands for line n.
library LineSet {
    /// @notice How many lines there can be.
    uint256 internal constant SIZE = 64;

    /// @notice The first so many lines.
    function first(uint256 lines) internal pure returns (uint64) {
        return lines == 0 ? 0 : type(uint64).max >> (SIZE - lines);
    }

    /// @notice One line alone.
    function only(uint256 line) internal pure returns (uint64) {
        // forge-lint: disable-next-line(unsafe-typecast) -- a line beyond the last one is in no set
        return uint64(1 << line);
    }

    /// @notice Whether a line is in a set.
    function has(uint64 set, uint256 line) internal pure returns (bool) {
        return (uint256(set) >> line) & 1 == 1;
    }
}
