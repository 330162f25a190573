// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { MerkleProof } from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { EpochHash } from "../src/libraries/EpochHash.sol";
import { MerklePath } from "../src/libraries/MerklePath.sol";
import { TestBase } from "./helpers/TestBase.sol";

/// @dev The hand-written libraries against the plain Solidity, or the OpenZeppelin code, that they stand for.
contract LibrariesTest is TestBase {
    function rootOf(bytes32[] calldata proof, bytes32 leaf) external pure returns (bytes32) {
        eq(MerklePath.rootOf(proof, leaf), MerkleProof.processProofCalldata(proof, leaf), "root");
        return MerklePath.rootOf(proof, leaf);
    }

    function hashOf(ISettlement.EpochContent calldata content) external pure returns (bytes32) {
        return EpochHash.hashOf(content);
    }

    function testFuzz_aPathLeadsWhereOpenZeppelinsDoes(bytes32[] memory proof, bytes32 leaf) public view {
        bytes32 root = this.rootOf(proof, leaf);
        if (proof.length == 0) eq(root, leaf, "a tree of one leaf");
    }

    function testFuzz_twinsAreHashedAsTheyAre(bytes32 leaf) public view {
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = leaf;
        eq(this.rootOf(proof, leaf), keccak256(abi.encode(leaf, leaf)), "root");
    }

    /// @dev Dirty upper bits of an address must not change its leaf.
    function testFuzz_rewardLeaf(uint256 index, uint256 account, uint256 amount) public pure {
        address clean = address(uint160(account));
        bytes32 expected = keccak256(bytes.concat(keccak256(abi.encode(index, clean, amount))));
        address dirty;
        assembly {
            dirty := account
        }
        eq(MerklePath.rewardLeaf(index, dirty, amount), expected, "leaf");
    }

    function testFuzz_commitment(ISettlement.EpochContent memory content) public view {
        eq(this.hashOf(content), keccak256(abi.encode(content)), "commitment");
    }

    /// @dev Call data that encodes the same content in another way has the same commitment.
    function testFuzz_commitmentOfAnOddEncoding(bytes32[8] memory job, uint256 gap) public view {
        ISettlement.EpochContent memory content;
        content.epoch = 7;
        content.jobs = new ISettlement.JobSettlement[](1);
        content.jobs[0] = ISettlement.JobSettlement({
            jobId: job[0],
            amount: uint256(job[1]),
            rewardsRoot: job[2],
            reportDigest: job[3],
            tracesRoot: job[4],
            traceCount: uint256(job[5]),
            parentPolicy: job[6],
            newPolicy: job[7]
        });
        bytes memory hole = new bytes(32 * bound(gap, 0, 5));
        bytes memory text = bytes.concat(
            this.hashOf.selector,
            bytes32(0x20 + hole.length),
            hole,
            abi.encode(uint256(7), 0x40 + hole.length),
            hole,
            abi.encode(uint256(1)),
            abi.encode(job)
        );
        assertHash(text, keccak256(abi.encode(content)));
    }

    /// @dev Jobs that would lie outside the call data are refused.
    function testFuzz_tooManyJobsForTheCallDataAreRefused(uint256 count) public view {
        count = bound(count, 1, type(uint256).max);
        bytes memory head = abi.encode(uint256(0x20), uint256(7), uint256(0x40), count);
        (bool ok,) = address(this).staticcall(bytes.concat(this.hashOf.selector, head));
        require(!ok, "accepted");
    }

    function assertHash(bytes memory text, bytes32 expected) private view {
        (bool ok, bytes memory result) = address(this).staticcall(text);
        require(ok, "refused");
        eq(abi.decode(result, (bytes32)), expected, "commitment");
    }
}
