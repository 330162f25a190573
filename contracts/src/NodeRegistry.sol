// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { AccessControl } from "@openzeppelin/contracts/access/AccessControl.sol";
import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { ECDSA } from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import { INodeRegistry } from "./interfaces/INodeRegistry.sol";
import { IRewards } from "./interfaces/IRewards.sol";
import { PeerId } from "./libraries/PeerId.sol";
import { R1Token } from "./R1Token.sol";

/// @title NodeRegistry
/// @notice See {INodeRegistry}.
contract NodeRegistry is INodeRegistry, AccessControl, EIP712 {
    using SafeERC20 for R1Token;

    /// @notice May lock, unlock and slash stake: the disputes contract.
    bytes32 public constant SLASHER_ROLE = keccak256("SLASHER_ROLE");
    /// @notice What a worker key signs.
    bytes32 public constant BIND_WORKER_TYPEHASH =
        keccak256("BindWorker(address owner,uint256 nonce,uint256 deadline)");
    /// @notice Upper bound of the unbonding delay, so that no parameter can hold stake for ever.
    uint256 public constant MAX_UNBONDING_DELAY = 60 days;

    /// @notice The stake token.
    R1Token public immutable token;
    /// @notice Where a new node's account is opened, which makes its first claim cheaper.
    IRewards public immutable rewards;

    uint96 private _minStake;
    uint40 private _unbondingDelay;
    mapping(address owner => Node) private _nodes;
    mapping(address worker => Worker) private _workers;

    /// @param admin Holds the admin role: the timelock, or the deployer until it hands over.
    constructor(address admin, R1Token token_, IRewards rewards_, uint256 minStake_, uint256 unbondingDelay_)
        EIP712("r1net NodeRegistry", "1")
    {
        token = token_;
        rewards = rewards_;
        _setParameters(minStake_, unbondingDelay_);
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    /// @inheritdoc INodeRegistry
    function register(uint256 stake) external {
        _register(stake);
    }

    /// @inheritdoc INodeRegistry
    function registerWithWorker(uint256 stake, WorkerProof calldata proof) external {
        _register(stake);
        _bind(proof);
    }

    /// @inheritdoc INodeRegistry
    function addStake(uint256 amount) external {
        Node storage node = _nodeOf(msg.sender);
        uint96 total = _toUint96(node.stake + amount);
        node.stake = total;
        emit StakeAdded(msg.sender, amount, total);
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc INodeRegistry
    function bindWorker(WorkerProof calldata proof) external {
        _nodeOf(msg.sender);
        _bind(proof);
    }

    /// @inheritdoc INodeRegistry
    function unbindWorker(address worker) external {
        if (ownerOf(worker) != msg.sender) revert NotWorkerOwner(worker, msg.sender);
        _workers[worker].unboundAt = uint40(block.timestamp);
        --_nodes[msg.sender].workers;
        emit WorkerUnbound(msg.sender, worker);
    }

    /// @inheritdoc INodeRegistry
    function deactivate() external {
        Node storage node = _nodeOf(msg.sender);
        if (node.exitAt != 0) revert AlreadyExiting(msg.sender);
        node.exitAt = uint40(block.timestamp + _unbondingDelay);
        emit NodeDeactivated(msg.sender, node.exitAt);
    }

    /// @inheritdoc INodeRegistry
    function reactivate() external {
        Node storage node = _nodeOf(msg.sender);
        if (node.exitAt == 0) revert NotExiting(msg.sender);
        node.exitAt = 0;
        emit NodeReactivated(msg.sender);
    }

    /// @inheritdoc INodeRegistry
    function withdraw() external returns (uint256 amount) {
        Node storage node = _nodeOf(msg.sender);
        if (node.exitAt == 0) revert NotExiting(msg.sender);
        if (block.timestamp < node.exitAt) revert StillUnbonding(node.exitAt);
        amount = node.stake - node.locked;
        if (amount == 0) revert NothingToWithdraw(msg.sender);
        node.stake = node.locked;
        emit StakeWithdrawn(msg.sender, amount);
        token.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc INodeRegistry
    function lock(address owner, uint256 amount) external onlyRole(SLASHER_ROLE) returns (uint256 locked) {
        Node storage node = _nodes[owner];
        (uint96 stake, uint96 before) = (node.stake, node.locked);
        uint256 free = stake - before;
        locked = amount < free ? amount : free;
        node.locked = before + uint96(locked);
        emit StakeLocked(owner, locked);
    }

    /// @inheritdoc INodeRegistry
    function unlock(address owner, uint256 amount) external onlyRole(SLASHER_ROLE) {
        Node storage node = _nodes[owner];
        uint96 locked = node.locked;
        if (amount > locked) revert NotLocked(owner, amount, locked);
        node.locked = locked - uint96(amount);
        emit StakeUnlocked(owner, amount);
    }

    /// @inheritdoc INodeRegistry
    function slash(address owner, uint256 amount, address beneficiary, uint256 bounty) external onlyRole(SLASHER_ROLE) {
        Node storage node = _nodes[owner];
        (uint96 stake, uint96 locked) = (node.stake, node.locked);
        if (amount > locked) revert NotLocked(owner, amount, locked);
        if (bounty > amount / 2) revert BountyTooLarge(bounty, amount);
        (node.stake, node.locked) = (stake - uint96(amount), locked - uint96(amount));
        emit StakeSlashed(owner, beneficiary, bounty, amount - bounty);
        if (bounty != 0) token.safeTransfer(beneficiary, bounty);
        token.burn(amount - bounty);
    }

    /// @inheritdoc INodeRegistry
    function setParameters(uint256 newMinStake, uint256 newUnbondingDelay) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setParameters(newMinStake, newUnbondingDelay);
    }

    /// @inheritdoc INodeRegistry
    function isActive(address owner) external view returns (bool) {
        Node storage node = _nodes[owner];
        return node.exitAt == 0 && node.stake >= _minStake;
    }

    /// @inheritdoc INodeRegistry
    function ownerOf(address worker) public view returns (address) {
        Worker storage record = _workers[worker];
        return record.unboundAt == 0 ? record.owner : address(0);
    }

    /// @inheritdoc INodeRegistry
    function accountableFor(address worker) external view returns (address) {
        return _workers[worker].owner;
    }

    /// @inheritdoc INodeRegistry
    function nodeOf(address owner) external view returns (Node memory) {
        return _nodes[owner];
    }

    /// @inheritdoc INodeRegistry
    function workerOf(address worker) external view returns (Worker memory) {
        return _workers[worker];
    }

    /// @inheritdoc INodeRegistry
    function minStake() external view returns (uint256) {
        return _minStake;
    }

    /// @inheritdoc INodeRegistry
    function unbondingDelay() external view returns (uint256) {
        return _unbondingDelay;
    }

    /// @inheritdoc INodeRegistry
    function bindingDigest(address owner, address worker, uint256 deadline) public view returns (bytes32) {
        uint256 nonce = _workers[worker].nonce;
        return _hashTypedDataV4(keccak256(abi.encode(BIND_WORKER_TYPEHASH, owner, nonce, deadline)));
    }

    function _register(uint256 stake) private {
        Node storage node = _nodes[msg.sender];
        if (node.stake != 0) revert AlreadyRegistered(msg.sender);
        if (stake < _minStake) revert StakeTooSmall(stake, _minStake);
        node.stake = _toUint96(stake);
        node.exitAt = 0;
        emit NodeRegistered(msg.sender, stake);
        rewards.open(address(token), msg.sender);
        token.safeTransferFrom(msg.sender, address(this), stake);
    }

    function _bind(WorkerProof calldata proof) private {
        if (block.timestamp > proof.deadline) revert ProofExpired(proof.deadline);
        address worker = PeerId.addressOf(proof.x, proof.y);
        address signer = ECDSA.recover(bindingDigest(msg.sender, worker, proof.deadline), proof.signature);
        if (signer != worker) revert WrongWorkerSignature(worker, signer);
        _requireFree(worker);
        _workers[worker] = Worker({ owner: msg.sender, nonce: _workers[worker].nonce + 1, unboundAt: 0 });
        ++_nodes[msg.sender].workers;
        emit WorkerBound(msg.sender, worker, PeerId.bytesOf(proof.x, proof.y));
    }

    /// @dev A change of owner must not wash off what a worker did: the old owner answers for it first.
    function _requireFree(address worker) private view {
        Worker storage record = _workers[worker];
        if (record.owner == address(0)) return;
        if (record.unboundAt == 0) revert WorkerTaken(worker, record.owner);
        uint256 until = uint256(record.unboundAt) + _unbondingDelay;
        if (record.owner != msg.sender && block.timestamp < until) revert WorkerCoolingDown(worker, until);
    }

    function _setParameters(uint256 minStake_, uint256 unbondingDelay_) private {
        if (minStake_ == 0 || unbondingDelay_ > MAX_UNBONDING_DELAY) revert ParameterOutOfBounds();
        _minStake = _toUint96(minStake_);
        _unbondingDelay = uint40(unbondingDelay_);
        emit ParametersChanged(minStake_, unbondingDelay_);
    }

    function _nodeOf(address owner) private view returns (Node storage node) {
        node = _nodes[owner];
        if (node.stake == 0) revert NotRegistered(owner);
    }

    function _toUint96(uint256 amount) private pure returns (uint96) {
        if (amount > type(uint96).max) revert StakeTooLarge(amount);
        return uint96(amount);
    }
}
