// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IProvenance } from "../src/interfaces/IProvenance.sol";
import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { Fixture } from "./helpers/Fixture.sol";
import { Merkle } from "./helpers/Merkle.sol";

contract ProvenanceTest is Fixture {
    bytes32 private jobId;

    function setUp() public override {
        super.setUp();
        jobId = fund(alice, 1000, 100);
    }

    function withTraces(uint256 count) private returns (ISettlement.EpochContent memory content) {
        content = contentOf(jobId, 1, keccak256("root"));
        content.jobs[0].tracesRoot = Merkle.root(Merkle.traces(1, count));
        content.jobs[0].traceCount = count;
        settlement.proposeEpoch(content);
    }

    function testFuzz_everyTraceIsProved(uint8 count_, uint256 spot) public {
        uint256 count = bound(count_, 1, 60);
        spot = bound(spot, 0, count - 1);
        ISettlement.EpochContent memory content = withTraces(count);
        bytes32[] memory proof = Merkle.proof(Merkle.traces(1, count), spot);
        check(provenance.verifyTrace(content, 0, bytes32(spot + 1), proof), "while pending");
        skip(WINDOW);
        settlement.finaliseEpoch(content);
        check(provenance.verifyTrace(content, 0, bytes32(spot + 1), proof), "when final");
    }

    function testFuzz_otherTracesAreNot(bytes32 trace, uint256 spot) public {
        spot = bound(spot, 0, 15);
        vm.assume(trace != bytes32(spot + 1));
        ISettlement.EpochContent memory content = withTraces(16);
        check(!provenance.verifyTrace(content, 0, trace, Merkle.proof(Merkle.traces(1, 16), spot)), "not proved");
    }

    function testFuzz_innerNodesAreNoTraces(uint256 spot) public {
        bytes32[] memory nodes = Merkle.tree(Merkle.traces(1, 16));
        spot = bound(spot, 1, 14);
        ISettlement.EpochContent memory content = withTraces(16);
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = nodes[spot % 2 == 1 ? spot + 1 : spot - 1];
        check(!provenance.verifyTrace(content, 0, nodes[spot], proof), "second pre-image");
    }

    function testFuzz_contentMustBeWhatWasProposed(bytes32 root) public {
        ISettlement.EpochContent memory content = withTraces(4);
        vm.assume(root != content.jobs[0].tracesRoot);
        content.jobs[0].tracesRoot = root;
        vm.expectRevert(abi.encodeWithSelector(IProvenance.UnknownContent.selector, 1));
        provenance.verifyTrace(content, 0, bytes32(0), new bytes32[](0));
    }

    function test_rejectedEpochsProveNothing() public {
        ISettlement.EpochContent memory content = withTraces(4);
        settlement.reject(1);
        vm.expectRevert(abi.encodeWithSelector(IProvenance.UnknownContent.selector, 1));
        provenance.verifyTrace(content, 0, bytes32(uint256(1)), new bytes32[](0));
        settlement.unwindEpoch(content);
        vm.expectRevert(abi.encodeWithSelector(IProvenance.UnknownContent.selector, 1));
        provenance.verifyTrace(content, 0, bytes32(uint256(1)), new bytes32[](0));
    }

    function testFuzz_noSuchJob(uint256 index) public {
        index = bound(index, 1, type(uint256).max);
        ISettlement.EpochContent memory content = withTraces(4);
        vm.expectRevert(abi.encodeWithSelector(IProvenance.NoSuchJob.selector, index));
        provenance.verifyTrace(content, index, bytes32(0), new bytes32[](0));
    }

    function test_multiProofOfAllLeaves() public {
        ISettlement.EpochContent memory content = withTraces(4);
        // A full tree needs no proof nodes: leaves in heap order (last first), all combined from one another.
        bytes32[] memory digests = new bytes32[](4);
        bool[] memory flags = new bool[](3);
        for (uint256 i = 0; i < 4; ++i) {
            digests[i] = bytes32(i + 1);
        }
        (flags[0], flags[1], flags[2]) = (true, true, true);
        check(provenance.verifyTraces(content, 0, digests, new bytes32[](0), flags), "all");
        digests[3] = bytes32(uint256(5));
        check(!provenance.verifyTraces(content, 0, digests, new bytes32[](0), flags), "one is foreign");
    }

    function test_multiProofOfTwo() public {
        ISettlement.EpochContent memory content = withTraces(4);
        bytes32[] memory leaves = Merkle.traces(1, 4);
        bytes32[] memory digests = new bytes32[](2);
        (digests[0], digests[1]) = (bytes32(uint256(1)), bytes32(uint256(2)));
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = Merkle.pair(leaves[2], leaves[3]);
        bool[] memory flags = new bool[](2);
        flags[0] = true;
        check(provenance.verifyTraces(content, 0, digests, proof, flags), "two");
    }

    function test_multiProofOfNothingProvesNothing() public {
        ISettlement.EpochContent memory content = withTraces(4);
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = content.jobs[0].tracesRoot;
        check(!provenance.verifyTraces(content, 0, new bytes32[](0), proof, new bool[](0)), "empty");
    }

    function testFuzz_statementsRollOneHash(address author, bytes32[4] calldata subjects, bytes32 value) public {
        bytes32 head = 0;
        for (uint256 i = 0; i < 4; ++i) {
            IProvenance.Kind kind = IProvenance.Kind(i);
            head = keccak256(abi.encode(head, kind, subjects[i], value));
            vm.expectEmit(address(provenance));
            emit IProvenance.Stated(author, kind, subjects[i], value, head);
            vm.prank(author);
            eq(provenance.state(kind, subjects[i], value), head, "returned");
            eq(provenance.headOf(author), head, "head");
        }
    }

    function testFuzz_authorsDoNotTouchOneAnother(address author, address other) public {
        vm.assume(author != other);
        vm.prank(author);
        provenance.state(IProvenance.Kind.Licence, keccak256("subject"), keccak256("MIT"));
        eq(provenance.headOf(other), bytes32(0), "head");
    }
}
