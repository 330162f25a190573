// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IDisputes } from "../src/interfaces/IDisputes.sol";
import { INodeRegistry } from "../src/interfaces/INodeRegistry.sol";
import { IProvenance } from "../src/interfaces/IProvenance.sol";
import { IRestitution } from "../src/interfaces/IRestitution.sol";
import { IRewards } from "../src/interfaces/IRewards.sol";
import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { DisputeFixture } from "./helpers/DisputeFixture.sol";
import { Merkle } from "./helpers/Merkle.sol";

/// @dev What each operation costs in a network that has been in use for a while. Run by tools/gas (with --isolate, so
/// that each call is a transaction of its own: 21,000 of intrinsic gas and call data included).
contract GasTest is DisputeFixture {
    uint256 private constant DEPTH = 17;
    address private dora = address(0xD04A);

    function setUp() public override {
        super.setUp();
        becomeSettler();
        r1.transfer(dora, 2 * STAKE);
        vm.prank(dora);
        r1.approve(address(registry), type(uint256).max);
        vm.prank(alice);
        provenance.state(IProvenance.Kind.Dataset, keccak256("subject"), keccak256("value"));
        settle(jobId, 1000, keccak256("root"));
        openTraceDispute(100);
        r1.transfer(alice, 1);
    }

    /// @dev A proof of the given depth: the siblings are arbitrary, the root follows.
    function pathOf(bytes32 leaf, uint256 salt, uint256 depth)
        private
        pure
        returns (bytes32 root, bytes32[] memory proof)
    {
        proof = new bytes32[](depth);
        root = leaf;
        for (uint256 i = 0; i < depth; ++i) {
            proof[i] = keccak256(abi.encode(salt, i));
            root = Merkle.pair(root, proof[i]);
        }
    }

    function snapshot(string memory name) private {
        vm.snapshotGasLastCall("r1net", name);
    }

    function test_register() public {
        vm.prank(dora);
        registry.register(STAKE);
        snapshot("register with stake, its votes on record");
    }

    function test_registerWithWorker() public {
        INodeRegistry.WorkerProof memory proof = workerProof(dora, 4711, block.timestamp);
        vm.prank(dora);
        registry.registerWithWorker(STAKE, proof);
        snapshot("register with stake and first worker");
    }

    function test_bindWorker() public {
        INodeRegistry.WorkerProof memory proof = workerProof(carol, 4711, block.timestamp);
        vm.prank(carol);
        registry.bindWorker(proof);
        snapshot("bind a further worker");
    }

    function test_anchor() public {
        vm.prank(alice);
        provenance.state(IProvenance.Kind.Dataset, keccak256("another"), keccak256("value"));
        snapshot("anchor a root (Provenance.state)");
    }

    function test_createJob() public {
        money.mint(alice, 2000);
        vm.prank(alice);
        money.approve(address(escrow), type(uint256).max);
        vm.prank(alice);
        escrow.createJob(address(money), 1000, 1000, keccak256("spec"));
        snapshot("create a job");
    }

    function proposeFor(uint256 traces, string memory name) private {
        ISettlement.EpochContent memory content = contentOf(jobId, 1000, keccak256("root"));
        content.jobs[0].traceCount = traces;
        settlement.proposeEpoch(content);
        snapshot(name);
    }

    function test_proposeThousand() public {
        proposeFor(1000, "propose an epoch of one job, 1,000 traces");
    }

    function test_proposeMillion() public {
        proposeFor(1_000_000, "propose an epoch of one job, 1,000,000 traces");
    }

    function test_finalise() public {
        ISettlement.EpochContent memory content = propose(jobId, 1000, keccak256("another root"));
        skip(WINDOW);
        settlement.finaliseEpoch(content);
        snapshot("finalise an epoch of one job");
    }

    /// @dev A second line, so that what a further one costs can be told.
    function test_proposeAndFinaliseTwoLines() public {
        bytes32[] memory jobs = new bytes32[](2);
        (jobs[0], jobs[1]) = (jobId, fund(alice, 1000, 1000));
        ISettlement.EpochContent memory content = contentOf(jobs, 1000);
        settlement.proposeEpoch(content);
        snapshot("propose an epoch of two jobs");
        skip(WINDOW);
        settlement.finaliseEpoch(content);
        snapshot("finalise an epoch of two jobs");
    }

    function claimAt(uint256 index, uint256 salt) private {
        (bytes32 root, bytes32[] memory proof) = pathOf(Merkle.rewardLeaf(index, dora, 100), salt, DEPTH);
        uint256 epoch = settle(jobId, 1000, root);
        rewards.claim(IRewards.Claim(epoch, jobId, index, dora, 100, proof));
    }

    /// @dev Of 128 neighbours in a tree the first to claim opens their word of marks.
    function test_claimFirstOfAWord() public {
        claimAt(300, 1);
        snapshot("claim, first in the token, first of 128 leaves");
        claimAt(300, 2);
        snapshot("claim, next, first of 128 leaves");
    }

    function test_claimFirstAndNext() public {
        bytes32[] memory leaves = new bytes32[](3);
        leaves[0] = Merkle.rewardLeaf(0, carol, 10);
        leaves[1] = Merkle.rewardLeaf(1, dora, 10);
        leaves[2] = Merkle.rewardLeaf(2, dora, 10);
        (bytes32 root, bytes32[] memory above) = pathOf(Merkle.root(leaves), 3, DEPTH - 2);
        uint256 epoch = settle(jobId, 1000, root);
        address[3] memory accounts = [carol, dora, dora];
        for (uint256 i = 0; i < 3; ++i) {
            bytes32[] memory proof = join(Merkle.proof(leaves, i), above);
            rewards.claim(IRewards.Claim(epoch, jobId, i, accounts[i], 10, proof));
            if (i == 1) snapshot("claim, first in the token");
            if (i == 2) snapshot("claim, next");
        }
    }

    function test_claimMany() public {
        uint256 count = 50;
        bytes32[] memory leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            leaves[i] = Merkle.rewardLeaf(i, jurorAt(i), 10);
        }
        (bytes32 root, bytes32[] memory above) = pathOf(Merkle.root(leaves), 3, DEPTH - 6);
        uint256 epoch = settle(jobId, 1000, root);
        IRewards.Claim[] memory claims = new IRewards.Claim[](count);
        for (uint256 i = 0; i < count; ++i) {
            bytes32[] memory proof = join(Merkle.proof(leaves, i), above);
            claims[i] = IRewards.Claim(epoch, jobId, i, jurorAt(i), 10, proof);
        }
        rewards.claimMany(claims);
        snapshot("50 claims of 50 accounts in one transaction");
    }

    /// @dev What a host does who comes after many epochs; its neighbours in each tree were there before.
    function test_claimManyOfOneAccount() public {
        uint256 count = 50;
        IRewards.Claim[] memory claims = new IRewards.Claim[](count);
        bytes32[] memory leaves = new bytes32[](2);
        for (uint256 i = 0; i < count; ++i) {
            (leaves[0], leaves[1]) = (Merkle.rewardLeaf(0, carol, 1), Merkle.rewardLeaf(1, dora, 10));
            (bytes32 root, bytes32[] memory above) = pathOf(Merkle.root(leaves), i, DEPTH - 1);
            uint256 epoch = settle(jobId, 100, root);
            rewards.claim(IRewards.Claim(epoch, jobId, 0, carol, 1, join(Merkle.proof(leaves, 0), above)));
            claims[i] = IRewards.Claim(epoch, jobId, 1, dora, 10, join(Merkle.proof(leaves, 1), above));
        }
        rewards.claimMany(claims);
        snapshot("50 claims of one account in one transaction");
    }

    function test_restitution() public {
        bytes32 root = Merkle.rewardLeaf(0, carol, 10);
        ISettlement.EpochContent memory content = propose(jobId, 1000, root);
        skip(WINDOW);
        settlement.finaliseEpoch(content);
        openTraceDispute(1);
        IProvenance.Trace memory trace = IProvenance.Trace(bytes32(uint256(1)), vm.addr(WORKER_KEY));
        bytes32[] memory proof = Merkle.proof(Merkle.traces(1, 8), 0);
        IRestitution.Leaf memory leaf = IRestitution.Leaf(0, carol, 10);
        restitution.hold(content, 0, trace, proof, leaf, new bytes32[](0));
        snapshot("hold the pay of an accused trace");
        skip(ANSWER);
        disputes.resolve(disputes.disputeCount());
        restitution.forfeit(content, 0, trace, proof, leaf, new bytes32[](0));
        snapshot("forfeit the pay of a convicted trace");
    }

    /// @dev The lower part of a proof, continued by the upper part up to the usual depth.
    function join(bytes32[] memory low, bytes32[] memory high) private pure returns (bytes32[] memory proof) {
        proof = new bytes32[](low.length + high.length);
        for (uint256 i = 0; i < proof.length; ++i) {
            proof[i] = i < low.length ? low[i] : high[i - low.length];
        }
    }

    function test_challengeAndSlash() public {
        proposeAsBob();
        vm.prank(alice);
        disputes.challengeLine(2, 0, EVIDENCE);
        snapshot("challenge a line");
        skip(ANSWER);
        disputes.resolve(2);
        snapshot("resolve by default: slash, bounty, burn, reject");
    }

    function test_judge() public {
        fillPool(100);
        vm.prank(dora);
        registry.register(STAKE);
        vm.prank(dora);
        pool.join();
        snapshot("join a pool of 100 verifiers");
        uint256 id = openLineDispute();
        answerAs(bob, id);
        snapshot("answer");
        vm.roll(disputes.disputeOf(id).drawBlock + 1);
        disputes.draw(id);
        snapshot("draw three seats from 101");
        vote(id, disputes.committeeOf(id, 0), 3, 0);
        vm.warp(disputes.disputeOf(id).revealUntil);
        disputes.tally(id);
        snapshot("tally three seats");
        afterAppealTime(id);
        snapshot("resolve a verdict of three seats");
    }

    function test_challengeTrace() public {
        IDisputes.Submission memory submission = submissionOf(WORKER_KEY, 1);
        bytes32[] memory proof = Merkle.proof(Merkle.traces(1, 4), 0);
        vm.prank(alice);
        disputes.challengeTrace(submission, bytes32(uint256(1)), proof, EVIDENCE);
        snapshot("challenge a trace");
    }

    function test_slash() public {
        registry.lock(carol, PENALTY);
        skip(1);
        registry.slash(carol, PENALTY, alice, PENALTY / 2);
        snapshot("slash (registry alone)");
    }
}
