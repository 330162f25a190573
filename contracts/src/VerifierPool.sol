// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { EnumerableSet } from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import { INodeRegistry } from "./interfaces/INodeRegistry.sol";
import { IVerifierPool } from "./interfaces/IVerifierPool.sol";

/// @title VerifierPool
/// @notice See {IVerifierPool}.
contract VerifierPool is IVerifierPool {
    using EnumerableSet for EnumerableSet.AddressSet;

    /// @notice Looks per wanted member: bounds the cost of a draw in a pool with many inactive members.
    uint256 public constant LOOKS_PER_MEMBER = 4;

    /// @notice Tells who is active.
    INodeRegistry public immutable registry;

    EnumerableSet.AddressSet private _members;

    constructor(INodeRegistry registry_) {
        registry = registry_;
    }

    /// @inheritdoc IVerifierPool
    function join() external {
        if (!registry.isActive(msg.sender)) revert NotActive(msg.sender);
        if (!_members.add(msg.sender)) revert AlreadyInPool(msg.sender);
        emit VerifierJoined(msg.sender);
    }

    /// @inheritdoc IVerifierPool
    function quit() external {
        _remove(msg.sender);
    }

    /// @inheritdoc IVerifierPool
    function evict(address owner) external {
        if (registry.isActive(owner)) revert StillActive(owner);
        _remove(owner);
    }

    /// @inheritdoc IVerifierPool
    /// @dev Fisher-Yates: every set of members is equally likely and no member is looked at twice. Only the swaps
    /// made so far are kept, so that the cost does not grow with the pool.
    function draw(bytes32 seed, uint256 count, address challenger, address accused)
        external
        view
        returns (address[] memory members)
    {
        uint256 left = _members.length();
        uint256 looks = count * LOOKS_PER_MEMBER < left ? count * LOOKS_PER_MEMBER : left;
        uint256[] memory swapped = new uint256[](looks);
        uint256[] memory standing = new uint256[](looks);
        members = new address[](count < left ? count : left);
        uint256 found = 0;
        for (uint256 i = 0; i < looks && found < members.length; ++i) {
            uint256 pick = uint256(keccak256(abi.encode(seed, i))) % left;
            address member = _members.at(_standingAt(pick, i, swapped, standing));
            --left;
            (swapped[i], standing[i]) = (pick, _standingAt(left, i, swapped, standing));
            if (member == challenger || member == accused || !registry.isActive(member)) continue;
            members[found++] = member;
        }
        assembly ("memory-safe") {
            mstore(members, found)
        }
    }

    /// @inheritdoc IVerifierPool
    function size() external view returns (uint256) {
        return _members.length();
    }

    /// @inheritdoc IVerifierPool
    function contains(address owner) external view returns (bool) {
        return _members.contains(owner);
    }

    /// @dev Who stands at a position after the first `swaps` swaps; the newest swap of a position counts.
    function _standingAt(uint256 position, uint256 swaps, uint256[] memory swapped, uint256[] memory standing)
        private
        pure
        returns (uint256)
    {
        for (uint256 i = swaps; i > 0; --i) {
            if (swapped[i - 1] == position) return standing[i - 1];
        }
        return position;
    }

    function _remove(address owner) private {
        if (!_members.remove(owner)) revert NotInPool(owner);
        emit VerifierLeft(owner);
    }
}
