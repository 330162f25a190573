// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title IVerifierPool
/// @notice The staked nodes that are willing to judge disputes, and the draw among them.
/// @dev One ticket for each owner: a minimum stake buys one ticket, whoever wants more splits his stake.
interface IVerifierPool {
    /// @notice An owner may be drawn from now on.
    event VerifierJoined(address indexed owner);
    /// @notice An owner is not drawn any more.
    event VerifierLeft(address indexed owner);

    /// @notice Only active nodes judge.
    error NotActive(address owner);
    /// @notice The owner is in the pool already.
    error AlreadyInPool(address owner);
    /// @notice The owner is not in the pool.
    error NotInPool(address owner);
    /// @notice Only inactive nodes can be removed by others.
    error StillActive(address owner);

    /// @notice Puts the caller, an active node, into the pool.
    function join() external;

    /// @notice Takes the caller out of the pool. Committees he sits on already still count on him.
    function quit() external;

    /// @notice Takes an owner who is no longer active out of the pool. Anyone may call.
    function evict(address owner) external;

    /// @notice Draws a committee of different, active members, none of whom is a party.
    /// @param seed Randomness.
    /// @param count How many at most; fewer if the pool is small.
    /// @param challenger A party.
    /// @param accused The other party.
    /// @return members The committee.
    function draw(bytes32 seed, uint256 count, address challenger, address accused)
        external
        view
        returns (address[] memory members);

    /// @notice How many owners are in the pool.
    function size() external view returns (uint256);

    /// @notice Whether an owner is in the pool.
    function contains(address owner) external view returns (bool);
}
