// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title PastBlocks
/// @notice Hashes of past blocks as a source of randomness that cannot be asked twice at will.
/// @dev A hash is known for the last 256 blocks, and for 8,191 where the chain has the history contract of EIP-2935.
/// When nobody used a block's hash while it was known, the block that counts instead follows from the number of the
/// first alone: it moves on a whole span at a time, and no transaction moves it.
library PastBlocks {
    /// @notice Where EIP-2935 keeps the hashes.
    address internal constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;
    uint256 private constant SERVED = 8191;
    uint256 private constant NATIVE = 256;

    /// @notice The block whose hash counts now for a draw that was set down for block `first`, which is mined.
    function decisive(uint256 first) internal view returns (uint256) {
        uint256 span = HISTORY.code.length == 0 ? NATIVE : SERVED;
        return first + (block.number - 1 - first) / span * span;
    }

    /// @notice The hash of a decisive block; zero where the chain does not know it.
    function hashOf(uint256 number) internal view returns (bytes32) {
        if (block.number - number <= NATIVE) return blockhash(number);
        (bool found, bytes memory answer) = HISTORY.staticcall(abi.encode(number));
        return found && answer.length == 32 ? abi.decode(answer, (bytes32)) : bytes32(0);
    }
}
