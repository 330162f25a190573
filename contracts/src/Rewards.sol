// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { IRewards } from "./interfaces/IRewards.sol";
import { MerklePath } from "./libraries/MerklePath.sol";

/// @title Rewards
/// @notice See {IRewards}.
contract Rewards is IRewards {
    using SafeERC20 for IERC20;

    /// @dev A struct, so that a claim works out its slot once.
    /// @param plusOne Paid so far plus one; zero means that the slot was never opened.
    struct Paid {
        uint256 plusOne;
    }

    /// @notice The settlement contract, which made this one.
    address public immutable settlement;
    /// @inheritdoc IRewards
    bytes32 public root;

    mapping(address token => mapping(address account => Paid)) private _paid;

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
        Paid storage paid = _paid[token][account];
        if (paid.plusOne == 0) paid.plusOne = 1;
    }

    /// @inheritdoc IRewards
    function publish(uint256 epoch, bytes32 newRoot) external {
        if (msg.sender != settlement) revert NotSettlement(msg.sender);
        root = newRoot;
        emit RootPublished(epoch, newRoot);
    }

    /// @inheritdoc IRewards
    function claimed(address token, address account) external view returns (uint256) {
        uint256 plusOne = _paid[token][account].plusOne;
        return plusOne == 0 ? 0 : plusOne - 1;
    }

    /// @dev The new total is stored before the transfer, so that a token which calls back finds nothing left to claim.
    function _claim(bytes32 root_, address token, address account, uint256 cumulative, bytes32[] calldata proof)
        private
        returns (uint256 amount)
    {
        bytes32 leaf = MerklePath.rewardLeaf(token, account, cumulative);
        if (MerklePath.rootOf(proof, leaf) != root_) revert InvalidRewardProof(token, account, cumulative);
        Paid storage paid = _paid[token][account];
        uint256 before = paid.plusOne;
        if (before == 0) before = 1;
        unchecked {
            // The largest number of all wraps to zero, and pays nothing.
            uint256 plusOne = cumulative + 1;
            if (plusOne <= before) return 0;
            paid.plusOne = plusOne;
            amount = plusOne - before;
        }
        emit RewardPaid(token, account, amount, cumulative);
        IERC20(token).safeTransfer(account, amount);
    }
}
