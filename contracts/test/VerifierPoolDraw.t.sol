// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { DisputeFixture } from "./helpers/DisputeFixture.sol";

/// @dev Who is drawn.
contract VerifierPoolDrawTest is DisputeFixture {
    function drawn(bytes32 seed, uint256 seats, address[] memory barred)
        private
        view
        returns (address[] memory members, uint256[] memory votes)
    {
        return pool.draw(block.number, seed, seats, barred);
    }

    function nobody() private pure returns (address[] memory) { }

    function enter(address owner, uint256 stake) private {
        register(owner, stake);
        vm.prank(owner);
        pool.join();
    }

    function testFuzz_allSeatsAreTakenByMembers(bytes32 seed, uint8 members_, uint8 seats_) public {
        uint256 members = bound(members_, 1, 20);
        uint256 seats = bound(seats_, 1, 31);
        fillPool(members);
        (address[] memory found, uint256[] memory votes) = drawn(seed, seats, nobody());
        uint256 taken = 0;
        for (uint256 i = 0; i < found.length; ++i) {
            check(pool.contains(found[i]) && votes[i] != 0, "a member with a seat");
            taken += votes[i];
            for (uint256 j = 0; j < i; ++j) {
                check(found[i] != found[j], "each once");
            }
        }
        eq(taken, seats, "seats");
    }

    /// @dev Barred ones anywhere in the tree, named twice, or no members at all.
    function testFuzz_whoIsBarredIsNotDrawn(bytes32 seed, uint256 mask) public {
        fillPool(20);
        address[] memory barred = new address[](24);
        uint256 out = 0;
        for (uint256 i = 0; i < 20 && out < 10; ++i) {
            if (mask >> i & 1 == 1) barred[out++] = jurorAt(i);
        }
        (barred[20], barred[21], barred[22], barred[23]) = (barred[0], alice, barred[1], jurorAt(99));
        (address[] memory found,) = drawn(seed, 31, barred);
        check(found.length != 0, "seated");
        for (uint256 i = 0; i < found.length; ++i) {
            for (uint256 j = 0; j < barred.length; ++j) {
                check(found[i] != barred[j], "not barred");
            }
        }
    }

    function test_lessThanHalfTheWeightJudgesNobody() public {
        fillPool(4);
        address[] memory barred = new address[](2);
        (barred[0], barred[1]) = (jurorAt(0), jurorAt(1));
        (address[] memory found,) = drawn(keccak256("seed"), 5, barred);
        check(found.length != 0, "half is enough");
        barred = new address[](3);
        (barred[0], barred[1], barred[2]) = (jurorAt(0), jurorAt(1), jurorAt(2));
        (found,) = drawn(keccak256("seed"), 5, barred);
        eq(found.length, 0, "less is not");
    }

    function test_anEmptyPoolSeatsNobody() public view {
        (address[] memory found,) = drawn(keccak256("seed"), 5, nobody());
        eq(found.length, 0, "nobody");
    }

    /// @dev One stake whole, and one as large split in ten: the same number of seats.
    function test_seatsGoByStakeHoweverItIsSplit() public {
        enter(jurorAt(0), 20_000 ether);
        for (uint256 i = 1; i <= 10; ++i) {
            enter(jurorAt(i), 2000 ether);
        }
        uint256 whole = 0;
        for (uint256 i = 0; i < 60; ++i) {
            (address[] memory found, uint256[] memory votes) = drawn(keccak256(abi.encode(i)), 20, nobody());
            for (uint256 j = 0; j < found.length; ++j) {
                if (found[j] == jurorAt(0)) whole += votes[j];
            }
        }
        // 600 of 1,200 expected, standard deviation 17.3: six deviations either way.
        check(whole > 496 && whole < 704, "in proportion");
    }

    /// @dev Every leaf of a tree with several levels is reached about equally often, whoever is barred.
    function test_everybodyIsDrawnAboutEquallyOften() public {
        fillPool(70);
        address[] memory barred = new address[](10);
        for (uint256 i = 0; i < 10; ++i) {
            barred[i] = jurorAt(7 * i);
        }
        uint256[70] memory hits;
        for (uint256 i = 0; i < 200; ++i) {
            (address[] memory found, uint256[] memory votes) = drawn(keccak256(abi.encode(i)), 30, barred);
            for (uint256 j = 0; j < found.length; ++j) {
                hits[uint160(found[j]) - 0x9000] += votes[j];
            }
        }
        // 6,000 seats among 60: 100 expected each, standard deviation 10, six deviations either way.
        for (uint256 i = 0; i < 70; ++i) {
            check(i % 7 == 0 ? hits[i] == 0 : hits[i] > 40 && hits[i] < 160, "uniform");
        }
    }

    /// @dev Whatever happens in the pool and in the registry after a block, a draw that counts as of then is the same.
    function testFuzz_theFutureDoesNotChangeADraw(bytes32 seed, uint256 mask) public {
        fillPool(12);
        uint256 then = block.number;
        address[] memory barred = new address[](2);
        (barred[0], barred[1]) = (jurorAt(3), jurorAt(8));
        bytes32 before = digest(then, seed, barred);
        vm.roll(block.number + 1);
        for (uint256 i = 0; i < 12; ++i) {
            act(jurorAt(i), mask >> (4 * i) & 15);
        }
        for (uint256 i = 20; i < 32; ++i) {
            enter(jurorAt(i), MIN_STAKE);
        }
        check(digest(then, seed, barred) == before, "the same jurors");
        vm.roll(block.number + 9000);
        check(digest(then, seed, barred) == before, "for ever");
    }

    function act(address owner, uint256 what) private {
        if (what % 4 == 3) registry.slash(owner, what * 600 ether, address(0), 0);
        if (what % 4 == 2 && registry.nodeOf(owner).stake != 0) {
            vm.prank(owner);
            registry.deactivate();
        }
        if (what > 11) pool.update(owner);
        if (what % 4 == 1) {
            vm.startPrank(owner);
            pool.quit();
            if (what > 4) pool.join();
            vm.stopPrank();
        }
    }

    function digest(uint256 when, bytes32 seed, address[] memory barred) private view returns (bytes32) {
        (address[] memory found, uint256[] memory votes) = pool.draw(when, seed, 15, barred);
        return keccak256(abi.encode(found, votes));
    }
}
