// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { SumTree } from "../src/libraries/SumTree.sol";
import { TestBase } from "./helpers/TestBase.sol";

/// @dev The tree against a plain array that is copied block by block.
contract SumTreeTest is TestBase {
    using SumTree for SumTree.Tree;

    uint256 private constant LEAVES = 70;
    uint256 private constant BLOCKS = 6;

    SumTree.Tree private tree;

    function grown(uint256 seed) private returns (uint256[LEAVES][BLOCKS] memory weights) {
        for (uint256 past = 0; past < BLOCKS; ++past) {
            vm.roll(1000 + past);
            if (past != 0) weights[past] = copied(weights[past - 1]);
            // Few leaves at first, so that the tree grows in the middle of its history.
            uint256 reach = past < 2 ? 3 : past < 4 ? 20 : LEAVES;
            for (uint256 i = 0; i < 8; ++i) {
                uint256 chance = uint256(keccak256(abi.encode(seed, past, i)));
                uint256 leaf = chance % reach;
                weights[past][leaf] = (chance >> 128) % 4 == 0 ? 0 : (chance >> 64) % 1000;
                tree.set(leaf, weights[past][leaf]);
            }
        }
    }

    function copied(uint256[LEAVES] memory from) private pure returns (uint256[LEAVES] memory to) {
        for (uint256 i = 0; i < LEAVES; ++i) {
            to[i] = from[i];
        }
    }

    function testFuzz_everyPastIsKept(uint256 seed, uint256 past, uint256 point) public {
        uint256[LEAVES][BLOCKS] memory weights = grown(seed);
        vm.roll(2000);
        past = bound(past, 0, BLOCKS - 1);
        uint256 sum = 0;
        uint256 when = 1000 + past;
        for (uint256 leaf = 0; leaf < LEAVES; ++leaf) {
            (uint256 start, uint256 weight) = tree.stretchAt(leaf, when);
            eq(weight, weights[past][leaf], "weight");
            if (weight != 0) {
                eq(start, sum, "start");
                eq(tree.find(sum, when), leaf, "first point");
                eq(tree.find(sum + weight - 1, when), leaf, "last point");
                eq(tree.find(sum + point % weight, when), leaf, "any point");
            }
            sum += weight;
        }
        eq(tree.totalAt(when), sum, "total");
        eq(tree.total(), tree.totalAt(2000), "total at present");
        eq(tree.totalAt(999), 0, "nothing before");
    }

    function testFuzz_whatDoesNotFitIsRefused(uint256 weight, uint8 leaf) public {
        weight = bound(weight, 1, SumTree.MOST);
        this.set(leaf, weight);
        uint256 other = SumTree.MOST - weight + 1;
        vm.expectRevert(abi.encodeWithSelector(SumTree.TooHeavy.selector, SumTree.MOST + 1));
        this.set(uint256(leaf) ^ 64, other);
        this.set(uint256(leaf) ^ 64, other - 1);
        eq(tree.total(), SumTree.MOST, "full");
    }

    function set(uint256 leaf, uint256 weight) external {
        tree.set(leaf, weight);
    }
}
