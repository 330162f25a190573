// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ERC20 } from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import { ERC20Burnable } from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import { ERC20Permit } from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import { ERC20Votes } from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import { Nonces } from "@openzeppelin/contracts/utils/Nonces.sol";

/// @title R1Token
/// @notice The stake and governance token: fixed supply, permit, votes, burnable (slashed stake is burned).
/// @dev Votes are counted by timestamp, so that the delays of the governor read in seconds on every chain.
contract R1Token is ERC20, ERC20Burnable, ERC20Permit, ERC20Votes {
    /// @param holder Receives the whole supply.
    /// @param supply In wei (18 decimals). Stake is kept in 96 bits, so the supply must fit in them.
    constructor(address holder, uint96 supply) ERC20("r1net", "R1") ERC20Permit("r1net") {
        _mint(holder, supply);
    }

    /// @notice The clock of the votes: seconds since 1970.
    function clock() public view override returns (uint48) {
        return uint48(block.timestamp);
    }

    /// @notice ERC-6372 description of the clock.
    function CLOCK_MODE() public pure override returns (string memory) {
        return "mode=timestamp";
    }

    /// @inheritdoc ERC20Permit
    function nonces(address owner) public view override(ERC20Permit, Nonces) returns (uint256) {
        return super.nonces(owner);
    }

    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Votes) {
        super._update(from, to, value);
    }
}
