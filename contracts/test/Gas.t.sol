// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IDisputes } from "../src/interfaces/IDisputes.sol";
import { INodeRegistry } from "../src/interfaces/INodeRegistry.sol";
import { IProvenance } from "../src/interfaces/IProvenance.sol";
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

    function test_claimFirstAndNext() public {
        rewards.open(address(money), dora);
        (bytes32 root, bytes32[] memory proof) = pathOf(Merkle.rewardLeaf(address(money), dora, 100), 1, DEPTH);
        settle(jobId, 1000, root);
        rewards.claim(address(money), dora, 100, proof);
        snapshot("claim, first");
        (root, proof) = pathOf(Merkle.rewardLeaf(address(money), dora, 200), 2, DEPTH);
        settle(jobId, 1000, root);
        rewards.claim(address(money), dora, 200, proof);
        snapshot("claim, next");
    }

    function test_claimUnopened() public {
        (bytes32 root, bytes32[] memory proof) = pathOf(Merkle.rewardLeaf(address(money), dora, 100), 1, DEPTH);
        settle(jobId, 1000, root);
        rewards.claim(address(money), dora, 100, proof);
        snapshot("claim, first, in a token whose account was not opened");
    }

    function test_claimMany() public {
        uint256 count = 50;
        bytes32[] memory leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            rewards.open(address(money), jurorAt(i));
            leaves[i] = Merkle.rewardLeaf(address(money), jurorAt(i), 10);
        }
        (bytes32 root, bytes32[] memory above) = pathOf(Merkle.root(leaves), 3, DEPTH - 6);
        settle(jobId, 1000, root);
        IRewards.Claim[] memory claims = new IRewards.Claim[](count);
        for (uint256 i = 0; i < count; ++i) {
            claims[i] = IRewards.Claim(address(money), jurorAt(i), 10, join(Merkle.proof(leaves, i), above));
        }
        rewards.claimMany(claims);
        snapshot("50 claims in one transaction");
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
        disputes.challengeEpoch(2, EVIDENCE);
        snapshot("challenge an epoch");
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
        uint256 id = openEpochDispute();
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
