// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IAccessControl } from "@openzeppelin/contracts/access/IAccessControl.sol";
import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { IJobEscrow } from "./interfaces/IJobEscrow.sol";
import { IRewards } from "./interfaces/IRewards.sol";
import { ISettlement } from "./interfaces/ISettlement.sol";
import { MerklePath } from "./libraries/MerklePath.sol";

/// @title Rewards
/// @notice See {IRewards}.
/// @dev A leaf is marked and its pot reduced before any transfer, so that a token which calls back finds nothing left to
/// claim.
contract Rewards is IRewards {
    using SafeERC20 for IERC20;

    /// @notice May hold, release and forfeit rewards; given by the admin of the settlement contract.
    bytes32 public constant RESTITUTION_ROLE = keccak256("RESTITUTION_ROLE");

    /// @dev The two marks of a leaf, 128 leaves in a word.
    uint256 private constant CLAIMED = 1;
    uint256 private constant HELD = 2;
    /// @dev Where in a pot's word that begins which is left.
    uint256 private constant LEFT = 160;

    /// @notice The settlement contract, which made this one.
    address public immutable settlement;

    /// @dev A pot in a word: its token, and above that what is left. A pot that is spent keeps its token, by which it is
    /// known to exist.
    mapping(bytes32 key => uint256) private _pots;
    mapping(bytes32 key => mapping(uint256 word => uint256)) private _marks;

    modifier onlyRestitution() {
        bool may = IAccessControl(settlement).hasRole(RESTITUTION_ROLE, msg.sender);
        if (!may) revert NotRestitution(msg.sender);
        _;
    }

    constructor() {
        settlement = msg.sender;
    }

    /// @inheritdoc IRewards
    function claim(Claim calldata leaf) external returns (uint256 amount) {
        (address token, uint256 marks) = _take(leaf, CLAIMED | HELD);
        if (marks & CLAIMED != 0) return 0;
        if (marks & HELD != 0) revert LeafHeld(leaf.epoch, leaf.jobId, leaf.index);
        amount = leaf.amount;
        emit RewardPaid(leaf.epoch, leaf.jobId, leaf.account, amount);
        IERC20(token).safeTransfer(leaf.account, amount);
    }

    /// @inheritdoc IRewards
    function claimMany(Claim[] calldata leaves) external returns (uint256[] memory amounts) {
        amounts = new uint256[](leaves.length);
        (address token, address account, uint256 sum) = (address(0), address(0), 0);
        for (uint256 i = 0; i < leaves.length; ++i) {
            Claim calldata leaf = leaves[i];
            (address next, uint256 marks) = _take(leaf, CLAIMED | HELD);
            if (marks != 0) continue;
            amounts[i] = leaf.amount;
            emit RewardPaid(leaf.epoch, leaf.jobId, leaf.account, leaf.amount);
            if (next != token || leaf.account != account) {
                if (sum != 0) IERC20(token).safeTransfer(account, sum);
                (token, account, sum) = (next, leaf.account, 0);
            }
            sum += leaf.amount;
        }
        if (sum != 0) IERC20(token).safeTransfer(account, sum);
    }

    /// @inheritdoc IRewards
    function fund(uint256 epoch, bytes32 jobId, bytes32 root, address token, uint256 amount) external {
        if (msg.sender != settlement) revert NotSettlement(msg.sender);
        _pots[_keyOf(epoch, jobId, root)] = (amount << LEFT) | uint160(token);
    }

    /// @inheritdoc IRewards
    function hold(uint256 epoch, bytes32 jobId, bytes32 root, uint256 index) external onlyRestitution {
        (uint256 word, uint256 shift) = _placeOf(index);
        _marks[_keyOf(epoch, jobId, root)][word] |= HELD << shift;
        emit RewardHeld(epoch, jobId, index);
    }

    /// @inheritdoc IRewards
    function release(uint256 epoch, bytes32 jobId, bytes32 root, uint256 index) external onlyRestitution {
        (uint256 word, uint256 shift) = _placeOf(index);
        _marks[_keyOf(epoch, jobId, root)][word] &= ~(HELD << shift);
        emit RewardReleased(epoch, jobId, index);
    }

    /// @inheritdoc IRewards
    function forfeit(Claim calldata leaf) external onlyRestitution returns (uint256 amount) {
        (address token, uint256 marks) = _take(leaf, CLAIMED);
        if (marks != 0) return 0;
        amount = leaf.amount;
        emit RewardForfeited(leaf.epoch, leaf.jobId, leaf.account, amount);
        IJobEscrow escrow = ISettlement(settlement).escrow();
        IERC20(token).safeTransfer(address(escrow), amount);
        escrow.restore(leaf.jobId, amount);
    }

    /// @inheritdoc IRewards
    function isClaimed(uint256 epoch, bytes32 jobId, bytes32 root, uint256 index) external view returns (bool) {
        return _marksOf(_keyOf(epoch, jobId, root), index) & CLAIMED != 0;
    }

    /// @inheritdoc IRewards
    function isHeld(uint256 epoch, bytes32 jobId, bytes32 root, uint256 index) external view returns (bool) {
        return _marksOf(_keyOf(epoch, jobId, root), index) & HELD != 0;
    }

    /// @inheritdoc IRewards
    function leftOf(uint256 epoch, bytes32 jobId, bytes32 root) external view returns (uint256) {
        return _pots[_keyOf(epoch, jobId, root)] >> LEFT;
    }

    /// @dev Marks a leaf as claimed and takes its amount out of its pot, unless it has one of the `barring` marks. Returns
    /// those of them that it had.
    function _take(Claim calldata leaf, uint256 barring) private returns (address token, uint256 marks) {
        bytes32 node = MerklePath.rewardLeaf(leaf.index, leaf.account, leaf.amount);
        bytes32 key = _keyOf(leaf.epoch, leaf.jobId, MerklePath.rootOf(leaf.proof, node));
        uint256 pot = _pots[key];
        if (pot == 0) {
            revert InvalidRewardProof(leaf.epoch, leaf.jobId, leaf.index, leaf.account, leaf.amount);
        }
        token = address(uint160(pot));
        (uint256 word, uint256 shift) = _placeOf(leaf.index);
        mapping(uint256 => uint256) storage words = _marks[key];
        uint256 all = words[word];
        marks = (all >> shift) & barring;
        if (marks != 0) return (token, marks);
        uint256 amount = leaf.amount;
        if (amount > pot >> LEFT) revert PotExceeded(leaf.epoch, leaf.jobId, amount, pot >> LEFT);
        words[word] = all | (CLAIMED << shift);
        unchecked {
            // Checked just above.
            _pots[key] = pot - (amount << LEFT);
        }
    }

    function _marksOf(bytes32 key, uint256 index) private view returns (uint256) {
        (uint256 word, uint256 shift) = _placeOf(index);
        return _marks[key][word] >> shift;
    }

    function _placeOf(uint256 index) private pure returns (uint256 word, uint256 shift) {
        return (index >> 7, (index & 127) << 1);
    }

    /// @dev keccak256(abi.encode(epoch, jobId, root)), without keeping the words in memory.
    function _keyOf(uint256 epoch, bytes32 jobId, bytes32 root) private pure returns (bytes32 key) {
        assembly ("memory-safe") {
            let words := mload(0x40)
            mstore(words, epoch)
            mstore(add(words, 0x20), jobId)
            mstore(add(words, 0x40), root)
            key := keccak256(words, 0x60)
        }
    }
}
