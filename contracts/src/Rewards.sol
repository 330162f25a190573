// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { MerkleProof } from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import { IRewards } from "./interfaces/IRewards.sol";

/// @title Rewards
/// @notice See {IRewards}.
contract Rewards is IRewards {
    using SafeERC20 for IERC20;

    /// @notice The settlement contract, which made this one.
    address public immutable settlement;
    /// @inheritdoc IRewards
    bytes32 public root;

    /// @dev Paid so far plus one; zero means that the slot was never opened.
    mapping(address token => mapping(address account => uint256)) private _claimedPlusOne;

    constructor() {
        settlement = msg.sender;
    }

    /// @inheritdoc IRewards
    function claim(address token, address account, uint256 cumulative, bytes32[] calldata proof)
        external
        returns (uint256)
    {
        return _claim(root, token, account, cumulative, proof);
    }

    /// @inheritdoc IRewards
    function claimMany(Claim[] calldata claims) external returns (uint256[] memory amounts) {
        bytes32 root_ = root;
        amounts = new uint256[](claims.length);
        for (uint256 i = 0; i < claims.length; ++i) {
            Claim calldata item = claims[i];
            amounts[i] = _claim(root_, item.token, item.account, item.cumulative, item.proof);
        }
    }

    /// @inheritdoc IRewards
    function open(address token, address account) external {
        if (_claimedPlusOne[token][account] == 0) _claimedPlusOne[token][account] = 1;
    }

    /// @inheritdoc IRewards
    function publish(uint256 epoch, bytes32 newRoot) external {
        if (msg.sender != settlement) revert NotSettlement(msg.sender);
        root = newRoot;
        emit RootPublished(epoch, newRoot);
    }

    /// @inheritdoc IRewards
    function claimed(address token, address account) public view returns (uint256) {
        uint256 stored = _claimedPlusOne[token][account];
        return stored == 0 ? 0 : stored - 1;
    }

    /// @dev The new total is stored before the transfer, so that a token which calls back finds nothing left to claim.
    function _claim(bytes32 root_, address token, address account, uint256 cumulative, bytes32[] calldata proof)
        private
        returns (uint256 amount)
    {
        // Hashed twice, as OpenZeppelin's trees do: an inner node can never pass for a leaf.
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(token, account, cumulative))));
        if (!MerkleProof.verifyCalldata(proof, root_, leaf)) revert InvalidRewardProof(token, account, cumulative);
        uint256 paid = claimed(token, account);
        if (cumulative <= paid) return 0;
        amount = cumulative - paid;
        _claimedPlusOne[token][account] = cumulative + 1;
        emit RewardPaid(token, account, amount, cumulative);
        IERC20(token).safeTransfer(account, amount);
    }
}
