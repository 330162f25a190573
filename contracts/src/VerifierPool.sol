// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { AccessControl } from "@openzeppelin/contracts/access/AccessControl.sol";
import { INodeRegistry } from "./interfaces/INodeRegistry.sol";
import { IVerifierPool } from "./interfaces/IVerifierPool.sol";
import { PastBlocks } from "./libraries/PastBlocks.sol";
import { SumTree } from "./libraries/SumTree.sol";

/// @title VerifierPool
/// @notice See {IVerifierPool}.
contract VerifierPool is IVerifierPool, AccessControl {
    using SumTree for SumTree.Tree;

    /// @notice Weights are counted in thousandths of R1.
    uint256 public constant UNIT = 1e15;
    /// @notice What the pool locks of a member's stake: one wei locked keeps all of it from being withdrawn.
    uint256 public constant HOLD = 1;
    /// @inheritdoc IVerifierPool
    uint256 public constant DRAW_DELAY = 2;
    /// @notice Blocks after leaving in which an older draw may still come: all that a chain can know the hashes of
    /// (EIP-2935), and the delay of a draw.
    uint256 public constant EXIT_BLOCKS = 8191 + DRAW_DELAY;

    /// @dev An owner keeps his leaf for good: a leaf that changed hands would seat the wrong owner in older draws.
    struct Member {
        uint32 number;
        uint48 leftAt;
        bool inside;
        bool held;
    }

    /// @notice Holds the stakes, and tells who is active.
    INodeRegistry public immutable registry;

    /// @inheritdoc IVerifierPool
    uint256 public size;
    Parameters private _parameters;
    SumTree.Tree private _tree;
    address[] private _owners;
    mapping(address owner => Member) private _members;

    /// @param admin Holds the admin role: the timelock, or the deployer until it hands over.
    constructor(address admin, INodeRegistry registry_, Parameters memory given) {
        registry = registry_;
        _setParameters(given);
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    /// @inheritdoc IVerifierPool
    function join() external {
        Member storage member = _members[msg.sender];
        if (member.inside) revert AlreadyInPool(msg.sender);
        if (!registry.isActive(msg.sender)) revert NotActive(msg.sender);
        uint256 weight = _weigh(msg.sender);
        if (!member.held && registry.lock(msg.sender, HOLD) != HOLD || weight == 0) revert NoFreeStake(msg.sender);
        if (member.number == 0) {
            _owners.push(msg.sender);
            member.number = uint32(_owners.length);
        }
        (member.inside, member.held) = (true, true);
        ++size;
        _tree.set(member.number - 1, weight);
        emit VerifierJoined(msg.sender, weight * UNIT);
    }

    /// @inheritdoc IVerifierPool
    function quit() external {
        if (!_members[msg.sender].inside) revert NotInPool(msg.sender);
        _leave(msg.sender);
    }

    /// @inheritdoc IVerifierPool
    function update(address owner) external {
        if (!_members[owner].inside) return;
        uint256 weight = registry.isActive(owner) ? _weigh(owner) : 0;
        if (weight == 0) return _leave(owner);
        _tree.set(_members[owner].number - 1, weight);
        emit WeightChanged(owner, weight * UNIT);
    }

    /// @inheritdoc IVerifierPool
    function release(address owner) external {
        Member storage member = _members[owner];
        if (member.inside || !member.held) revert NotReleasable(owner, 0);
        uint256 from = member.leftAt + EXIT_BLOCKS;
        if (block.number <= from) revert NotReleasable(owner, from + 1);
        member.held = false;
        registry.unlock(owner, HOLD);
        emit VerifierReleased(owner);
    }

    /// @inheritdoc IVerifierPool
    function setParameters(Parameters calldata given) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setParameters(given);
    }

    /// @inheritdoc IVerifierPool
    function drawOn(uint256 drawBlock, bytes32 salt, uint256 seats, address[] calldata barred)
        external
        view
        returns (address[] memory members, uint256[] memory votes)
    {
        uint256 decisive = PastBlocks.decisive(drawBlock);
        bytes32 hash = PastBlocks.hashOf(decisive);
        if (hash == 0) revert NoBlockHash(decisive);
        return draw(decisive - DRAW_DELAY, keccak256(abi.encode(hash, salt)), seats, barred);
    }

    /// @inheritdoc IVerifierPool
    function draw(uint256 when, bytes32 seed, uint256 seats, address[] calldata barred)
        public
        view
        returns (address[] memory members, uint256[] memory votes)
    {
        uint256[2][] memory gaps = _gapsAt(barred, when);
        uint256 all = _tree.totalAt(when);
        uint256 open = all;
        for (uint256 i = 0; i < gaps.length; ++i) {
            open -= gaps[i][1];
        }
        if (open == 0 || 2 * open < all) return (members, votes);
        uint256[] memory points = new uint256[](seats);
        for (uint256 i = 0; i < seats; ++i) {
            points[i] = _past(uint256(keccak256(abi.encode(seed, i))) % open, gaps);
        }
        return _seat(points, when);
    }

    /// @inheritdoc IVerifierPool
    function ready() external view returns (bool) {
        return size >= _parameters.minJurors && totalWeight() >= _parameters.minWeight;
    }

    /// @inheritdoc IVerifierPool
    function parameters() external view returns (Parameters memory) {
        return _parameters;
    }

    /// @inheritdoc IVerifierPool
    function totalWeight() public view returns (uint256) {
        return _tree.total() * UNIT;
    }

    /// @inheritdoc IVerifierPool
    function weightOf(address owner) external view returns (uint256 weight) {
        Member storage member = _members[owner];
        if (member.inside) (, weight) = _tree.stretchAt(member.number - 1, block.number);
        return weight * UNIT;
    }

    /// @inheritdoc IVerifierPool
    function contains(address owner) external view returns (bool) {
        return _members[owner].inside;
    }

    function _leave(address owner) private {
        Member storage member = _members[owner];
        (member.inside, member.leftAt) = (false, uint48(block.number));
        --size;
        _tree.set(member.number - 1, 0);
        emit VerifierLeft(owner, block.number + EXIT_BLOCKS + 1);
    }

    function _setParameters(Parameters memory given) private {
        if (given.maxWeight < UNIT) revert ParameterOutOfBounds();
        _parameters = given;
        emit ParametersChanged(given);
    }

    function _weigh(address owner) private view returns (uint256) {
        uint256 stake = registry.nodeOf(owner).stake;
        uint256 most = _parameters.maxWeight;
        return (stake < most ? stake : most) / UNIT;
    }

    /// @dev The stretches (start, weight) of those who must not be seated, in ascending order, each once.
    function _gapsAt(address[] calldata barred, uint256 when) private view returns (uint256[2][] memory gaps) {
        gaps = new uint256[2][](barred.length);
        uint256 found = 0;
        for (uint256 i = 0; i < barred.length; ++i) {
            uint256 number = _members[barred[i]].number;
            if (number == 0) continue;
            (uint256 start, uint256 weight) = _tree.stretchAt(number - 1, when);
            if (weight == 0) continue;
            uint256 spot = found;
            while (spot > 0 && gaps[spot - 1][0] > start) --spot;
            if (spot > 0 && gaps[spot - 1][0] == start) continue;
            for (uint256 j = found; j > spot; --j) {
                gaps[j] = gaps[j - 1];
            }
            gaps[spot] = [start, weight];
            ++found;
        }
        assembly ("memory-safe") {
            mstore(gaps, found)
        }
    }

    /// @dev Moves a point among the weights that are not barred to where it lies among all.
    function _past(uint256 point, uint256[2][] memory gaps) private pure returns (uint256) {
        for (uint256 i = 0; i < gaps.length && gaps[i][0] <= point; ++i) {
            point += gaps[i][1];
        }
        return point;
    }

    /// @dev Who lies at the points, and how often.
    function _seat(uint256[] memory points, uint256 when)
        private
        view
        returns (address[] memory members, uint256[] memory votes)
    {
        members = new address[](points.length);
        votes = new uint256[](points.length);
        uint256 found = 0;
        for (uint256 i = 0; i < points.length; ++i) {
            address member = _owners[_tree.find(points[i], when)];
            uint256 spot = 0;
            while (spot < found && members[spot] != member) ++spot;
            if (spot == found) ++found;
            members[spot] = member;
            ++votes[spot];
        }
        assembly ("memory-safe") {
            mstore(members, found)
            mstore(votes, found)
        }
    }
}
