// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title IRewards
/// @notice Pays cumulative rewards against the newest final Merkle root.
/// @dev Leaves are those of OpenZeppelin's StandardMerkleTree over (address token, address account, uint256 cumulative).
/// The contract holds only what finalised epochs brought in, so its balance is the limit of what can be paid.
interface IRewards {
    /// @notice One claim of a batch.
    /// @param token The ERC-20 that is paid.
    /// @param account Who is paid.
    /// @param cumulative All that the account has ever earned in this token, in its smallest unit.
    /// @param proof Merkle proof of the leaf.
    struct Claim {
        address token;
        address account;
        uint256 cumulative;
        bytes32[] proof;
    }

    /// @notice A new root pays from now on.
    event RootPublished(uint256 indexed epoch, bytes32 root);
    /// @notice An account was paid; `cumulative` is its new total in this token.
    event RewardPaid(address indexed token, address indexed account, uint256 amount, uint256 cumulative);

    /// @notice Only the settlement contract may do this.
    error NotSettlement(address caller);
    /// @notice The proof does not lead from this leaf to the present root.
    error InvalidRewardProof(address token, address account, uint256 cumulative);

    /// @notice Pays an account what its leaf grants beyond what it was paid before. Anyone may call.
    /// @dev Pays nothing, without an error, if the account has been paid as much or more already.
    /// @param token The ERC-20 that is paid.
    /// @param account Who is paid.
    /// @param cumulative The leaf's amount.
    /// @param proof Merkle proof of the leaf.
    /// @return amount What was paid.
    function claim(address token, address account, uint256 cumulative, bytes32[] calldata proof)
        external
        returns (uint256 amount);

    /// @notice Several claims in one transaction; those already paid are passed over.
    /// @param claims The claims.
    /// @return amounts What each one paid.
    function claimMany(Claim[] calldata claims) external returns (uint256[] memory amounts);

    /// @notice Makes an account's slot non-zero, which makes its first claim cheaper. Anyone may call.
    /// @param token The ERC-20.
    /// @param account The account.
    function open(address token, address account) external;

    /// @notice Replaces the root. Only for the settlement contract.
    /// @param epoch The epoch that became final.
    /// @param newRoot Its rewards root.
    function publish(uint256 epoch, bytes32 newRoot) external;

    /// @notice What an account has been paid in a token so far.
    function claimed(address token, address account) external view returns (uint256);

    /// @notice The newest final root.
    function root() external view returns (bytes32);
}
