// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { Checkpoints } from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

/// @title SumTree
/// @notice Weights of numbered leaves, with their sums above them: changed, and searched by weight, in O(log n). Every
/// node keeps its past, so that a search sees the tree as it was at the end of any block.
/// @dev A node holds the sums of its four children, 52 bits each. Level 1 holds the leaves' own weights. The tree grows
/// a level when a leaf does not fit; a leaf never moves. The idea of drawing jurors from a sum tree is that of Kleros
/// (SortitionSumTreeFactory, https://github.com/kleros/kleros-v2); keeping its past instead of freezing it is ours.
library SumTree {
    using Checkpoints for Checkpoints.Trace208;

    uint256 private constant CHILDREN = 4;
    uint256 private constant BITS = 52;
    /// @notice Largest weight, and largest sum of all weights.
    uint256 internal constant MOST = (1 << BITS) - 1;

    struct Tree {
        uint256 levels;
        mapping(uint256 level => mapping(uint256 index => Checkpoints.Trace208)) nodes;
    }

    /// @notice The sum of all weights does not fit.
    error TooHeavy(uint256 weight);

    /// @notice Sets the weight of a leaf, from this block on.
    function set(Tree storage tree, uint256 leaf, uint256 weight) internal {
        uint256 levels = _grow(tree, leaf);
        if (weight > MOST) revert TooHeavy(weight);
        for (uint256 level = 1; level <= levels; ++level) {
            Checkpoints.Trace208 storage node = tree.nodes[level][leaf / CHILDREN];
            uint256 shift = BITS * (leaf % CHILDREN);
            uint256 sums = (node.latest() & ~(MOST << shift)) | (weight << shift);
            // forge-lint: disable-next-line(unsafe-typecast) -- four times 52 bits
            node.push(uint48(block.number), uint208(sums));
            (leaf, weight) = (leaf / CHILDREN, _total(sums));
            if (weight > MOST) revert TooHeavy(weight);
        }
    }

    /// @notice The sum of all weights at present.
    function total(Tree storage tree) internal view returns (uint256) {
        return _total(tree.nodes[tree.levels][0].latest());
    }

    /// @notice The sum of all weights at the end of a block.
    function totalAt(Tree storage tree, uint256 when) internal view returns (uint256) {
        return _total(_sums(tree, _topAt(tree, when), 0, when));
    }

    /// @notice The stretch of [0, total) that a leaf had at the end of a block.
    function stretchAt(Tree storage tree, uint256 leaf, uint256 when)
        internal
        view
        returns (uint256 start, uint256 weight)
    {
        uint256 levels = tree.levels;
        for (uint256 level = 1; level <= levels; ++level) {
            uint256 sums = _sums(tree, level, leaf / CHILDREN, when);
            uint256 shift = BITS * (leaf % CHILDREN);
            if (level == 1) weight = (sums >> shift) & MOST;
            start += _total(sums & ((1 << shift) - 1));
            leaf /= CHILDREN;
        }
    }

    /// @notice The leaf in whose stretch a point below the total lay at the end of a block.
    function find(Tree storage tree, uint256 point, uint256 when) internal view returns (uint256 leaf) {
        for (uint256 level = _topAt(tree, when); level > 0; --level) {
            uint256 sums = _sums(tree, level, leaf, when);
            leaf *= CHILDREN;
            while (point >= sums & MOST) {
                point -= sums & MOST;
                sums >>= BITS;
                ++leaf;
            }
        }
    }

    function _grow(Tree storage tree, uint256 leaf) private returns (uint256 levels) {
        levels = tree.levels;
        if (levels != 0 && leaf < CHILDREN ** levels) return levels;
        uint256 sum = total(tree);
        while (levels == 0 || leaf >= CHILDREN ** levels) {
            ++levels;
            // forge-lint: disable-next-line(unsafe-typecast) -- 52 bits
            tree.nodes[levels][0].push(uint48(block.number), uint208(sum));
        }
        tree.levels = levels;
    }

    /// @dev Levels that were added later, and an empty tree, read as zero.
    function _topAt(Tree storage tree, uint256 when) private view returns (uint256 level) {
        level = tree.levels;
        while (level > 1 && _sums(tree, level, 0, when) == 0) --level;
    }

    function _sums(Tree storage tree, uint256 level, uint256 index, uint256 when) private view returns (uint256) {
        return tree.nodes[level][index].upperLookupRecent(uint48(when));
    }

    function _total(uint256 sums) private pure returns (uint256 sum) {
        for (; sums != 0; sums >>= BITS) {
            sum += sums & MOST;
        }
    }
}
