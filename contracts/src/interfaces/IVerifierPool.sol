// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title IVerifierPool
/// @notice The staked nodes that are willing to judge disputes, and the draw among them.
/// @dev Seats are drawn with replacement, in proportion to stake: whoever splits a stake gains nothing. A draw sees the
/// pool as it was at the end of a block that is older than its randomness, and nothing else: no call in the drawing
/// transaction, or in any block since, can change who is seated. Nothing needs to be frozen for that, so a pending draw
/// keeps nobody from joining or leaving. A member's stake cannot be withdrawn before a draw from his time is impossible.
interface IVerifierPool {
    /// @notice The parameters.
    /// @param minJurors Members without whom the pool is not ready to judge.
    /// @param minWeight R1 in wei of their weights together without which it is not.
    /// @param maxWeight R1 in wei that count of one member's stake: so many members left out of an appeal, for having
    /// judged before, take no more than so much weight away.
    struct Parameters {
        uint32 minJurors;
        uint96 minWeight;
        uint96 maxWeight;
    }

    /// @notice An owner may be drawn from now on.
    event VerifierJoined(address indexed owner, uint256 weight);
    /// @notice A member's stake was looked at again.
    event WeightChanged(address indexed owner, uint256 weight);
    /// @notice An owner is not drawn any more; his stake is free of the pool from a block on.
    event VerifierLeft(address indexed owner, uint256 releasableAt);
    /// @notice The pool holds an owner's stake no longer.
    event VerifierReleased(address indexed owner);
    /// @notice The parameters changed.
    event ParametersChanged(Parameters parameters);

    /// @notice Only active nodes judge.
    error NotActive(address owner);
    /// @notice The owner is in the pool already.
    error AlreadyInPool(address owner);
    /// @notice The owner is not in the pool.
    error NotInPool(address owner);
    /// @notice All of the owner's stake is locked, or it is too small to be drawn.
    error NoFreeStake(address owner);
    /// @notice The pool does not hold the owner's stake, or still has to until a block.
    error NotReleasable(address owner, uint256 block_);
    /// @notice The chain does not know the hash of the block that counts.
    error NoBlockHash(uint256 block_);
    /// @notice The parameters lie outside their bounds.
    error ParameterOutOfBounds();

    /// @notice Puts the caller, an active node, into the pool, with the weight of his stake.
    function join() external;

    /// @notice Takes the caller out of the pool. Committees he sits on already, and draws of which the block has come,
    /// still count on him; {release} frees his stake after those.
    function quit() external;

    /// @notice Renews a member's weight; takes him out if he is no longer active. Anyone may call; for others than
    /// members it does nothing.
    function update(address owner) external;

    /// @notice Lets go of the stake of an owner who left. Anyone may call.
    function release(address owner) external;

    /// @notice Sets the parameters. Only for the timelock.
    function setParameters(Parameters calldata given) external;

    /// @notice Draws seats with the hash of a block that is mined; the pool counts as it was DRAW_DELAY blocks before it.
    /// If the chain has forgotten that hash, a block a whole number of spans later counts for both, see PastBlocks.
    /// @param drawBlock The block; set down for when it was DRAW_DELAY blocks away.
    /// @param salt What this draw is for.
    /// @param seats How many.
    /// @param barred As in {draw}.
    /// @return members As in {draw}.
    /// @return votes As in {draw}.
    function drawOn(uint256 drawBlock, bytes32 salt, uint256 seats, address[] calldata barred)
        external
        view
        returns (address[] memory members, uint256[] memory votes);

    /// @notice Draws seats in proportion to weight, with replacement.
    /// @param when The block at whose end the pool counts; a past one.
    /// @param seed Randomness from a later block.
    /// @param seats How many.
    /// @param barred Who must not be seated: the parties, and who judged before.
    /// @return members Who is seated, each once; nobody where those not barred have less than half of all weight.
    /// @return votes How many seats each has.
    function draw(uint256 when, bytes32 seed, uint256 seats, address[] calldata barred)
        external
        view
        returns (address[] memory members, uint256[] memory votes);

    /// @notice Whether there are members and weight enough to judge: no epoch may be proposed otherwise.
    function ready() external view returns (bool);

    /// @notice The parameters.
    function parameters() external view returns (Parameters memory);

    /// @notice Blocks between the one at whose end the pool counts and the one whose hash picks: nothing that is known
    /// in the one tells anything about the other.
    function DRAW_DELAY() external view returns (uint256);

    /// @notice How many owners are in the pool.
    function size() external view returns (uint256);

    /// @notice R1 in wei of all members' weights.
    function totalWeight() external view returns (uint256);

    /// @notice R1 in wei of an owner's weight; 0 outside the pool.
    function weightOf(address owner) external view returns (uint256);

    /// @notice Whether an owner is in the pool.
    function contains(address owner) external view returns (bool);
}
