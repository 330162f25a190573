// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title BoundedCall
/// @notice An ERC-20 transfer that can do no harm: limited gas, limited return data, no revert.
/// @dev One hostile token must not keep an epoch with many jobs from becoming final.
library BoundedCall {
    /// @notice Gas that a transfer may use: several times what an honest token takes.
    uint256 internal constant TRANSFER_GAS = 200_000;

    /// @notice Whether enough gas is left for the transfer to get all of TRANSFER_GAS (EIP-150 keeps 1/64 back).
    function hasGas() internal view returns (bool) {
        return gasleft() > (TRANSFER_GAS * 65) / 64 + 10_000;
    }

    /// @notice Tries a transfer.
    /// @return ok Whether the token has code, did not revert, and returned nothing or true.
    function tryTransfer(address token, address to, uint256 amount) internal returns (bool ok) {
        if (token.code.length == 0) return false;
        bytes memory data = abi.encodeCall(IERC20.transfer, (to, amount));
        uint256 gasLimit = TRANSFER_GAS;
        uint256 size;
        uint256 word;
        // Assembly, because a Solidity call copies all the return data, however long, at the caller's expense.
        assembly ("memory-safe") {
            ok := call(gasLimit, token, 0, add(data, 0x20), mload(data), 0x00, 0x20)
            size := returndatasize()
            word := mload(0x00)
        }
        return ok && (size == 0 || (size >= 32 && word == 1));
    }
}
