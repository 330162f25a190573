// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IDisputes } from "../src/interfaces/IDisputes.sol";
import { IProvenance } from "../src/interfaces/IProvenance.sol";
import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { DisputeFixture } from "./helpers/DisputeFixture.sol";
import { Merkle } from "./helpers/Merkle.sol";

contract ProvenanceTest is DisputeFixture {
    address private worker = vm.addr(WORKER_KEY);

    function withTraces(uint256 count) private returns (ISettlement.EpochContent memory content) {
        content = contentOf(jobId, 1, keccak256("root"));
        content.jobs[0].tracesRoot = Merkle.root(Merkle.traces(1, count));
        content.jobs[0].traceCount = count;
        becomeSettler();
        settlement.proposeEpoch(content);
    }

    function statusOf(ISettlement.EpochContent memory content, uint256 trace, bytes32[] memory proof)
        private
        view
        returns (IProvenance.Status)
    {
        return provenance.traceStatus(content, 0, traceOf(trace), proof);
    }

    function traceOf(uint256 trace) private view returns (IProvenance.Trace memory) {
        return IProvenance.Trace(bytes32(trace), worker);
    }

    function is_(IProvenance.Status found, IProvenance.Status expected, string memory what) private pure {
        eq(uint256(found), uint256(expected), what);
    }

    function testFuzz_everyTraceIsProved(uint8 count_, uint256 spot) public {
        uint256 count = bound(count_, 1, 60);
        spot = bound(spot, 0, count - 1);
        ISettlement.EpochContent memory content = withTraces(count);
        bytes32[] memory proof = Merkle.proof(Merkle.traces(1, count), spot);
        is_(statusOf(content, spot + 1, proof), IProvenance.Status.Pending, "pending");
        skip(WINDOW);
        settlement.finaliseEpoch(content);
        is_(statusOf(content, spot + 1, proof), IProvenance.Status.Finalised, "final");
    }

    function testFuzz_otherTracesAreNot(uint256 trace, uint256 spot) public {
        spot = bound(spot, 0, 15);
        vm.assume(trace != spot + 1);
        bytes32[] memory proof = Merkle.proof(Merkle.traces(1, 16), spot);
        is_(statusOf(withTraces(16), trace, proof), IProvenance.Status.Unknown, "not proved");
    }

    function testFuzz_innerNodesAreNoTraces(uint256 spot) public {
        bytes32[] memory nodes = Merkle.tree(Merkle.traces(1, 16));
        spot = bound(spot, 1, 14);
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = nodes[spot % 2 == 1 ? spot + 1 : spot - 1];
        is_(statusOf(withTraces(16), uint256(nodes[spot]), proof), IProvenance.Status.Unknown, "second pre-image");
    }

    function testFuzz_contentMustBeWhatWasProposed(bytes32 root, uint256 index) public {
        ISettlement.EpochContent memory content = withTraces(1);
        bytes32[] memory none = new bytes32[](0);
        index = bound(index, 1, type(uint256).max);
        is_(provenance.traceStatus(content, index, traceOf(1), none), IProvenance.Status.Unknown, "no such job");
        vm.assume(root != content.jobs[0].rewardsRoot);
        content.jobs[0].rewardsRoot = root;
        is_(statusOf(content, 1, none), IProvenance.Status.Unknown, "not proposed");
        content.epoch = 2;
        is_(statusOf(content, 1, none), IProvenance.Status.Unknown, "no such epoch");
    }

    function test_rejectedLinesSaySo() public {
        ISettlement.EpochContent memory content = withTraces(1);
        bytes32[] memory none = new bytes32[](0);
        settlement.reject(1, 0);
        is_(statusOf(content, 1, none), IProvenance.Status.Rejected, "rejected");
        settlement.unwindEpoch(content);
        is_(statusOf(content, 1, none), IProvenance.Status.Rejected, "and unwound");
    }

    /// @dev What a line holds is disputed while the line is, or while the trace is.
    function test_theAccusedAreDisputed() public {
        fillPool(20);
        ISettlement.EpochContent memory content = withTraces(8);
        bytes32[] memory proof = Merkle.proof(Merkle.traces(1, 8), 0);
        vm.prank(carol);
        uint256 lineDispute = disputes.challengeLine(1, 0, EVIDENCE);
        is_(statusOf(content, 1, proof), IProvenance.Status.Disputed, "with its line");
        answerAs(address(this), lineDispute);
        judge(lineDispute, 0, 3);
        afterAppealTime(lineDispute);
        is_(statusOf(content, 1, proof), IProvenance.Status.Pending, "the line is right");
        uint256 id = openTraceDispute(1);
        is_(statusOf(content, 1, proof), IProvenance.Status.Disputed, "the trace is accused");
        bytes32[] memory other = Merkle.proof(Merkle.traces(1, 8), 1);
        is_(statusOf(content, 2, other), IProvenance.Status.Pending, "no other trace is");
        skip(ANSWER);
        disputes.resolve(id);
        is_(statusOf(content, 1, proof), IProvenance.Status.Convicted, "convicted");
        settlement.finaliseEpoch(content);
        is_(statusOf(content, 1, proof), IProvenance.Status.Convicted, "for good");
        is_(statusOf(content, 2, other), IProvenance.Status.Finalised, "no other trace is");
    }

    /// @dev Somebody signs for a trace that is not his and has himself convicted: the trace keeps its name.
    function test_nobodyTaintsAnothersTrace() public {
        ISettlement.EpochContent memory content = withTraces(8);
        bind(bob, 4711);
        IDisputes.Submission memory copied = submissionOf(4711, 1);
        vm.prank(alice);
        uint256 id =
            disputes.challengeTrace(copied, bytes32(uint256(1)), Merkle.proof(Merkle.traces(1, 4), 0), EVIDENCE);
        skip(ANSWER);
        disputes.resolve(id);
        bytes32[] memory proof = Merkle.proof(Merkle.traces(1, 8), 0);
        is_(statusOf(content, 1, proof), IProvenance.Status.Pending, "the worker's");
        IProvenance.Trace memory theirs = IProvenance.Trace(bytes32(uint256(1)), vm.addr(4711));
        is_(provenance.traceStatus(content, 0, theirs, proof), IProvenance.Status.Convicted, "the copier's");
    }

    function test_multiProofOfAllLeaves() public {
        ISettlement.EpochContent memory content = withTraces(4);
        // A full tree needs no proof nodes: leaves in heap order (last first), all combined from one another.
        IProvenance.Trace[] memory traces = new IProvenance.Trace[](4);
        bool[] memory flags = new bool[](3);
        for (uint256 i = 0; i < 4; ++i) {
            traces[i] = traceOf(i + 1);
        }
        (flags[0], flags[1], flags[2]) = (true, true, true);
        all(provenance.traceStatuses(content, 0, traces, new bytes32[](0), flags), IProvenance.Status.Pending);
        traces[3] = traceOf(5);
        all(provenance.traceStatuses(content, 0, traces, new bytes32[](0), flags), IProvenance.Status.Unknown);
    }

    function all(IProvenance.Status[] memory found, IProvenance.Status expected) private pure {
        eq(found.length, 4, "one for each");
        for (uint256 i = 0; i < found.length; ++i) {
            is_(found[i], expected, "each");
        }
    }

    function test_multiProofOfTwo() public {
        ISettlement.EpochContent memory content = withTraces(4);
        bytes32[] memory leaves = Merkle.traces(1, 4);
        IProvenance.Trace[] memory traces = new IProvenance.Trace[](2);
        (traces[0], traces[1]) = (traceOf(1), traceOf(2));
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = Merkle.pair(leaves[2], leaves[3]);
        bool[] memory flags = new bool[](2);
        flags[0] = true;
        skip(ANSWER);
        disputes.resolve(convictable());
        IProvenance.Status[] memory found = provenance.traceStatuses(content, 0, traces, proof, flags);
        is_(found[0], IProvenance.Status.Convicted, "one is convicted");
        is_(found[1], IProvenance.Status.Pending, "the other is not");
    }

    function convictable() private returns (uint256 id) {
        id = openTraceDispute(1);
        skip(ANSWER);
    }

    function test_multiProofOfNothingProvesNothing() public {
        ISettlement.EpochContent memory content = withTraces(4);
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = content.jobs[0].tracesRoot;
        eq(provenance.traceStatuses(content, 0, new IProvenance.Trace[](0), proof, new bool[](0)).length, 0, "empty");
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
