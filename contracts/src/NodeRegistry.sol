// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { AccessControl } from "@openzeppelin/contracts/access/AccessControl.sol";
import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { ECDSA } from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import { Checkpoints } from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import { INodeRegistry } from "./interfaces/INodeRegistry.sol";
import { PeerId } from "./libraries/PeerId.sol";
import { R1Token } from "./R1Token.sol";

/// @title NodeRegistry
/// @notice See {INodeRegistry}.
contract NodeRegistry is INodeRegistry, AccessControl, EIP712 {
    using SafeERC20 for R1Token;
    using Checkpoints for Checkpoints.Trace208;

    /// @dev One slot for what every lock and slash touches; the debt in another, which only debtors pay for.
    /// `claims` is the sum of all locks that are not undone yet. A slash can leave less stake than that: kept as it
    /// is, so that undoing one lock never frees what another one holds.
    struct Account {
        uint96 stake;
        uint96 claims;
        uint40 exitAt;
        uint24 workers;
        uint96 debt;
    }

    /// @notice May lock, unlock and slash stake: the settlement and the courts.
    bytes32 public constant SLASHER_ROLE = keccak256("SLASHER_ROLE");
    /// @notice What a worker key signs.
    bytes32 public constant BIND_WORKER_TYPEHASH =
        keccak256("BindWorker(address owner,uint256 nonce,uint256 deadline)");
    /// @notice Upper bound of the unbonding delay, so that no parameter can hold stake for ever.
    uint256 public constant MAX_UNBONDING_DELAY = 60 days;

    /// @notice The stake token.
    R1Token public immutable token;

    uint96 private _minStake;
    uint40 private _unbondingDelay;
    mapping(address owner => Account) private _nodes;
    mapping(address owner => Checkpoints.Trace208) private _votes;
    mapping(address worker => Worker) private _workers;

    /// @param admin Holds the admin role: the timelock, or the deployer until it hands over.
    constructor(address admin, R1Token token_, uint256 minStake_, uint256 unbondingDelay_)
        EIP712("r1net NodeRegistry", "1")
    {
        token = token_;
        _setParameters(minStake_, unbondingDelay_);
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    /// @inheritdoc INodeRegistry
    function register(uint256 stake) external {
        _register(msg.sender, stake);
    }

    /// @inheritdoc INodeRegistry
    function registerFor(address owner, uint256 stake) external {
        _register(owner, stake);
    }

    /// @inheritdoc INodeRegistry
    function registerWithWorker(uint256 stake, WorkerProof calldata proof) external {
        _register(msg.sender, stake);
        _bind(proof);
    }

    /// @inheritdoc INodeRegistry
    function addStake(uint256 amount) external {
        Account storage node = _nodes[msg.sender];
        if (node.stake == 0 && node.debt == 0) revert NotRegistered(msg.sender);
        uint256 added = amount - _payDebt(msg.sender, node, amount);
        uint96 total = _toUint96(node.stake + added);
        _setStake(msg.sender, node, total);
        emit StakeAdded(msg.sender, added, total);
        _pull(amount, amount - added);
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
        Account storage node = _nodeOf(msg.sender);
        if (node.exitAt != 0) revert AlreadyExiting(msg.sender);
        node.exitAt = uint40(block.timestamp + _unbondingDelay);
        emit NodeDeactivated(msg.sender, node.exitAt);
    }

    /// @inheritdoc INodeRegistry
    function reactivate() external {
        Account storage node = _nodeOf(msg.sender);
        if (node.exitAt == 0) revert NotExiting(msg.sender);
        node.exitAt = 0;
        emit NodeReactivated(msg.sender);
    }

    /// @inheritdoc INodeRegistry
    function withdraw() external returns (uint256 amount) {
        Account storage node = _nodeOf(msg.sender);
        if (node.exitAt == 0) revert NotExiting(msg.sender);
        if (block.timestamp < node.exitAt) revert StillUnbonding(node.exitAt);
        if (node.claims != 0) revert StakeIsLocked(msg.sender, _lockedOf(node));
        amount = node.stake;
        _setStake(msg.sender, node, 0);
        emit StakeWithdrawn(msg.sender, amount);
        token.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc INodeRegistry
    function lock(address owner, uint256 amount) external onlyRole(SLASHER_ROLE) returns (uint256 locked) {
        Account storage node = _nodes[owner];
        (uint96 stake, uint96 claims, uint40 exitAt) = (node.stake, node.claims, node.exitAt);
        uint256 free = stake > claims ? stake - claims : 0;
        locked = amount < free ? amount : free;
        node.claims = claims + uint96(locked);
        if (exitAt != 0) {
            // Where other locks hold all stake already, this one holds nothing: waiting takes its place.
            uint40 until = uint40(block.timestamp + _unbondingDelay);
            if (until > exitAt) node.exitAt = until;
        }
        emit StakeLocked(owner, locked);
    }

    /// @inheritdoc INodeRegistry
    function unlock(address owner, uint256 amount) external onlyRole(SLASHER_ROLE) {
        Account storage node = _nodes[owner];
        uint96 claims = node.claims;
        uint96 freed = amount < claims ? uint96(amount) : claims;
        node.claims = claims - freed;
        emit StakeUnlocked(owner, freed);
    }

    /// @inheritdoc INodeRegistry
    function slash(address owner, uint256 amount, address beneficiary, uint256 bounty)
        external
        onlyRole(SLASHER_ROLE)
        returns (uint256 paid)
    {
        if (bounty > amount / 2) revert BountyTooLarge(bounty, amount);
        Account storage node = _nodes[owner];
        uint96 stake = node.stake;
        uint256 taken = amount < stake ? amount : stake;
        paid = bounty < taken / 2 ? bounty : taken / 2;
        emit StakeSlashed(owner, beneficiary, paid, taken - paid);
        if (taken < amount) _addDebt(owner, node, amount - taken);
        if (taken == 0) return 0;
        _setStake(owner, node, stake - uint96(taken));
        if (paid != 0) token.safeTransfer(beneficiary, paid);
        token.burn(taken - paid);
    }

    /// @inheritdoc INodeRegistry
    function setParameters(uint256 newMinStake, uint256 newUnbondingDelay) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setParameters(newMinStake, newUnbondingDelay);
    }

    /// @inheritdoc INodeRegistry
    function isActive(address owner) external view returns (bool) {
        Account storage node = _nodes[owner];
        // Who has a debt has no stake: a slash takes all of it first, and what comes in pays the debt first.
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
        Account storage node = _nodes[owner];
        return Node({
            stake: node.stake, locked: _lockedOf(node), exitAt: node.exitAt, workers: node.workers, debt: node.debt
        });
    }

    /// @inheritdoc INodeRegistry
    function getPastVotes(address owner, uint256 timepoint) external view returns (uint256) {
        if (timepoint >= block.timestamp) revert FutureLookup(timepoint);
        return _votes[owner].upperLookupRecent(uint48(timepoint));
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

    function _register(address owner, uint256 amount) private {
        Account storage node = _nodes[owner];
        if (node.stake != 0) revert AlreadyRegistered(owner);
        uint256 stake = amount - _payDebt(owner, node, amount);
        if (stake < _minStake) revert StakeTooSmall(stake, _minStake);
        _setStake(owner, node, _toUint96(stake));
        node.exitAt = 0;
        emit NodeRegistered(owner, stake);
        _pull(amount, amount - stake);
    }

    /// @dev The only place where stake changes: the votes follow it.
    function _setStake(address owner, Account storage node, uint96 stake) private {
        node.stake = stake;
        _votes[owner].push(uint48(block.timestamp), stake);
    }

    /// @dev Full is full: an overflow must not stop a court from ending a case.
    function _addDebt(address owner, Account storage node, uint256 missing) private {
        uint256 room = type(uint96).max - node.debt;
        node.debt += uint96(missing < room ? missing : room);
        emit DebtChanged(owner, node.debt);
    }

    function _payDebt(address owner, Account storage node, uint256 amount) private returns (uint256 paid) {
        uint96 debt = node.debt;
        if (debt == 0) return 0;
        paid = amount < debt ? amount : debt;
        node.debt = debt - uint96(paid);
        emit DebtChanged(owner, node.debt);
    }

    function _pull(uint256 amount, uint256 burned) private {
        token.safeTransferFrom(msg.sender, address(this), amount);
        if (burned != 0) token.burn(burned);
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

    function _nodeOf(address owner) private view returns (Account storage node) {
        node = _nodes[owner];
        if (node.stake == 0) revert NotRegistered(owner);
    }

    function _lockedOf(Account storage node) private view returns (uint96) {
        (uint96 stake, uint96 claims) = (node.stake, node.claims);
        return claims < stake ? claims : stake;
    }

    function _toUint96(uint256 amount) private pure returns (uint96) {
        if (amount > type(uint96).max) revert StakeTooLarge(amount);
        return uint96(amount);
    }
}
