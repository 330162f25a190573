// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title IRewards
/// @notice Pays each line's rewards out of the line's own pot.
/// @dev Leaves are those of OpenZeppelin's StandardMerkleTree over (uint256 index, address account, uint256 amount). A pot
/// is known by (epoch, job, root) and holds what its line brought in: a tree that promises more, or one leaf twice, takes
/// nothing from another pot.
interface IRewards {
    /// @notice A leaf, and the line whose tree it is in.
    /// @param epoch The line's epoch.
    /// @param jobId The line's job.
    /// @param index The leaf's number, from 0.
    /// @param account Who is paid.
    /// @param amount How much, in the smallest unit of the job's token.
    /// @param proof Merkle proof of the leaf.
    struct Claim {
        uint256 epoch;
        bytes32 jobId;
        uint256 index;
        address account;
        uint256 amount;
        bytes32[] proof;
    }

    /// @notice An account was paid.
    event RewardPaid(uint256 indexed epoch, bytes32 indexed jobId, address indexed account, uint256 amount);
    /// @notice A leaf cannot be claimed for now.
    event RewardHeld(uint256 indexed epoch, bytes32 indexed jobId, uint256 index);
    /// @notice A leaf can be claimed again.
    event RewardReleased(uint256 indexed epoch, bytes32 indexed jobId, uint256 index);
    /// @notice A leaf's amount went back to the job.
    event RewardForfeited(uint256 indexed epoch, bytes32 indexed jobId, address indexed account, uint256 amount);

    /// @notice Only the settlement contract may do this.
    error NotSettlement(address caller);
    /// @notice Only a holder of RESTITUTION_ROLE may do this.
    error NotRestitution(address caller);
    /// @notice The proof does not lead from this leaf to the root of a pot of this epoch and job.
    error InvalidRewardProof(uint256 epoch, bytes32 jobId, uint256 index, address account, uint256 amount);
    /// @notice The leaf is held, because a trace of the account's stands accused or was convicted.
    error LeafHeld(uint256 epoch, bytes32 jobId, uint256 index);
    /// @notice The tree promises more than its line brought in.
    error PotExceeded(uint256 epoch, bytes32 jobId, uint256 amount, uint256 left);

    /// @notice Pays a leaf to its account. Anyone may call. Pays nothing, without an error, if it was paid before.
    /// @param leaf The leaf.
    /// @return amount What was paid.
    function claim(Claim calldata leaf) external returns (uint256 amount);

    /// @notice Several claims in one transaction; those that are paid already or held are passed over. Neighbours for one
    /// account in one token are sent together.
    /// @param leaves The leaves.
    /// @return amounts What each one paid.
    function claimMany(Claim[] calldata leaves) external returns (uint256[] memory amounts);

    /// @notice Makes a line's pot, whose money has arrived. Only for the settlement contract.
    /// @param epoch The line's epoch.
    /// @param jobId The line's job.
    /// @param root The line's rewards root.
    /// @param token What the job pays in.
    /// @param amount What the line brought in; fits in 96 bits, as every cap does.
    function fund(uint256 epoch, bytes32 jobId, bytes32 root, address token, uint256 amount) external;

    /// @notice Keeps a leaf from being claimed, also before its pot is there. Only for RESTITUTION_ROLE.
    function hold(uint256 epoch, bytes32 jobId, bytes32 root, uint256 index) external;

    /// @notice Undoes {hold}. Only for RESTITUTION_ROLE.
    function release(uint256 epoch, bytes32 jobId, bytes32 root, uint256 index) external;

    /// @notice Sends a leaf's amount back to the job's escrow, held or not; from then on it counts as claimed. Nothing
    /// happens, without an error, if it was claimed before. Only for RESTITUTION_ROLE.
    /// @param leaf The leaf.
    /// @return amount What went back.
    function forfeit(Claim calldata leaf) external returns (uint256 amount);

    /// @notice Whether a leaf was paid or forfeited.
    function isClaimed(uint256 epoch, bytes32 jobId, bytes32 root, uint256 index) external view returns (bool);

    /// @notice Whether a leaf is held.
    function isHeld(uint256 epoch, bytes32 jobId, bytes32 root, uint256 index) external view returns (bool);

    /// @notice What is left in a line's pot; 0 also where there is none.
    function leftOf(uint256 epoch, bytes32 jobId, bytes32 root) external view returns (uint256);
}
