// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { Disputes } from "../src/Disputes.sol";
import { IDisputes } from "../src/interfaces/IDisputes.sol";
import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { NodeRegistry } from "../src/NodeRegistry.sol";
import { PastBlocks } from "../src/libraries/PastBlocks.sol";
import { R1Token } from "../src/R1Token.sol";
import { VerifierPool } from "../src/VerifierPool.sol";
import { DisputeFixture } from "./helpers/DisputeFixture.sol";

/// @dev A verifier that is a contract, and does whatever might move a draw.
contract Sybil {
    NodeRegistry private immutable registry;
    VerifierPool private immutable pool;
    Disputes private immutable disputes;

    constructor(NodeRegistry registry_, VerifierPool pool_, Disputes disputes_) {
        (registry, pool, disputes) = (registry_, pool_, disputes_);
        R1Token(address(registry_.token())).approve(address(registry_), type(uint256).max);
    }

    function enter(uint256 stake) external {
        registry.register(stake);
        pool.join();
    }

    /// @param shield An epoch of somebody whom this one can accuse, so that stake is locked.
    function act(uint256 what, uint256 epoch, bytes32 shield) external {
        if (what == 1) pool.quit();
        if (what == 2) registry.deactivate();
        if (what == 3) registry.reactivate();
        if (what == 4) registry.addStake(100 ether);
        if (what == 5) disputes.challengeLine(epoch, 0, shield);
        if (what == 6) pool.join();
        if (what == 7) pool.update(address(this));
    }
}

/// @dev Tries, in one transaction, whatever may give another committee; keeps the try that gives most seats.
contract Grinder {
    Sybil[] public sybils;
    mapping(address => bool) public mine;

    function raise(NodeRegistry registry, VerifierPool pool, Disputes disputes, uint256 stake) external {
        Sybil sybil = new Sybil(registry, pool, disputes);
        registry.token().transfer(address(sybil), 3 * stake);
        sybil.enter(stake);
        sybils.push(sybil);
        mine[address(sybil)] = true;
    }

    function attempt(Disputes disputes, uint256 id, uint256 tries) external returns (address[] memory committee) {
        uint256 epoch = disputes.disputeOf(id).epoch;
        for (uint256 i = 0; i < sybils.length; ++i) {
            for (uint256 step = 0; step < 3; ++step) {
                bytes32 chance = keccak256(abi.encode(tries, i, step));
                try sybils[i].act(uint256(chance) % 8, epoch, chance) { } catch { }
            }
        }
        disputes.draw(id);
        return disputes.committeeOf(id, disputes.disputeOf(id).round);
    }
}

contract CourtGrindTest is DisputeFixture {
    Grinder private grinder;

    function setUp() public override {
        super.setUp();
        grinder = new Grinder();
        r1.transfer(address(grinder), 30 * MIN_STAKE);
        for (uint256 i = 0; i < 20; ++i) {
            register(jurorAt(i), STAKE);
            vm.prank(jurorAt(i));
            pool.join();
            if (i % 2 == 0) grinder.raise(registry, pool, disputes, MIN_STAKE);
        }
    }

    function drawing() private returns (uint256 id) {
        id = openLineDispute();
        answerAs(bob, id);
    }

    /// @dev Quits, entries, exits from the network and back, added stake, locked stake, in the drawing transaction: the
    /// committee is the one that it would have been without them.
    function testFuzz_theDrawingTransactionMovesNothing(bytes32 hash, uint256 tries) public {
        vm.assume(hash != 0);
        uint256 id = drawing();
        uint256 drawBlock = disputes.disputeOf(id).drawBlock;
        vm.roll(drawBlock + 1);
        vm.setBlockhash(drawBlock, hash);
        bytes32 expected = keccak256(abi.encode(this.committeeWithout(id)));
        check(keccak256(abi.encode(grinder.attempt(disputes, id, tries))) == expected, "the same committee");
    }

    /// @dev The same, and rolled back.
    function committeeWithout(uint256 id) external returns (address[] memory committee) {
        try this.drawAndRevert(id) { }
        catch (bytes memory why) {
            return abi.decode(why, (address[]));
        }
    }

    function drawAndRevert(uint256 id) external {
        disputes.draw(id);
        bytes memory found = abi.encode(disputes.committeeOf(id, 0));
        assembly ("memory-safe") {
            revert(add(found, 32), mload(found))
        }
    }

    /// @dev What happens between the answer and the draw moves nothing either, once the answer's block is over.
    function testFuzz_theBlocksInBetweenMoveNothing(bytes32 hash, uint256 tries) public {
        vm.assume(hash != 0);
        uint256 id = drawing();
        uint256 drawBlock = disputes.disputeOf(id).drawBlock;
        (address[] memory expected,) = pool.draw(block.number, seedOf(id, hash), 3, new address[](0));
        vm.roll(drawBlock - 1);
        for (uint256 i = 0; i < 10; ++i) {
            try grinder.sybils(i).act(1 + (tries >> 4 * i) % 7, 1, bytes32(tries)) { } catch { }
        }
        vm.roll(drawBlock + 1);
        vm.setBlockhash(drawBlock, hash);
        disputes.draw(id);
        check(keccak256(abi.encode(disputes.committeeOf(id, 0))) == keccak256(abi.encode(expected)), "as set down");
    }

    function seedOf(uint256 id, bytes32 hash) private view returns (bytes32) {
        return keccak256(abi.encode(hash, keccak256(abi.encode(address(disputes), id, 0))));
    }

    /// @dev Whoever lets the hash be forgotten gets another one that no transaction picks: it is the same for whole spans.
    function testFuzz_aForgottenHashIsReplacedByRule(uint256 late, uint256 later) public {
        uint256 id = drawing();
        uint256 first = disputes.disputeOf(id).drawBlock;
        uint256 spans = bound(late, 1, 1000);
        uint256 decisive = first + 256 * spans;
        vm.roll(decisive + bound(later, 1, 256));
        vm.setBlockhash(decisive, keccak256("hash"));
        eq(PastBlocks.decisive(first), decisive, "decisive");
        (address[] memory expected,) = pool.draw(decisive - 2, seedOf(id, keccak256("hash")), 3, new address[](0));
        disputes.draw(id);
        check(keccak256(abi.encode(disputes.committeeOf(id, 0))) == keccak256(abi.encode(expected)), "by rule");
        eq(disputes.disputeOf(id).drawBlock, first, "nothing was set down anew");
    }

    /// @dev With the history of EIP-2935 the first hash counts for 8,191 blocks.
    function testFuzz_withTheChainsHistoryTheFirstHashCounts(uint256 late) public {
        // The contract that the EIP deploys, as it stands there.
        bytes memory code =
            hex"3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500";
        vm.etch(PastBlocks.HISTORY, code);
        uint256 id = drawing();
        uint256 first = disputes.disputeOf(id).drawBlock;
        vm.roll(first + 1);
        vm.prank(0xffffFFFfFFffffffffffffffFfFFFfffFFFfFFfE);
        (bool kept,) = PastBlocks.HISTORY.call(abi.encode(keccak256("hash")));
        check(kept, "the system call keeps the parent's hash");
        vm.roll(first + bound(late, 257, 8191));
        eq(PastBlocks.decisive(first), first, "decisive");
        check(PastBlocks.hashOf(first) == keccak256("hash"), "from the history");
        disputes.draw(id);
        isPhase(id, IDisputes.Phase.Voting);
    }
}

/// @dev One honest juror with six tenths of the weight against liars with the rest, whatever the hashes.
contract CourtMajorityTest is DisputeFixture {
    address private honest = jurorAt(0);

    function setUp() public override {
        super.setUp();
        register(honest, 18_000 ether);
        vm.prank(honest);
        pool.join();
        for (uint256 i = 1; i <= 12; ++i) {
            register(jurorAt(i), MIN_STAKE);
            vm.prank(jurorAt(i));
            pool.join();
        }
    }

    function decide(uint256 id, bytes32 hash, IDisputes.Verdict truth) private {
        IDisputes.Verdict lie =
            truth == IDisputes.Verdict.Guilty ? IDisputes.Verdict.Innocent : IDisputes.Verdict.Guilty;
        vm.roll(disputes.disputeOf(id).drawBlock + 1);
        vm.setBlockhash(disputes.disputeOf(id).drawBlock, keccak256(abi.encode(hash, disputes.disputeOf(id).round)));
        disputes.draw(id);
        if (disputes.disputeOf(id).phase == IDisputes.Phase.Resolved) return;
        address[] memory committee = disputes.committeeOf(id, disputes.disputeOf(id).round);
        for (uint256 i = 0; i < committee.length; ++i) {
            commitAs(committee[i], id, committee[i] == honest ? truth : lie);
        }
        vm.warp(disputes.disputeOf(id).deadline);
        for (uint256 i = 0; i < committee.length; ++i) {
            revealAs(committee[i], id, committee[i] == honest ? truth : lie);
        }
        vm.warp(disputes.disputeOf(id).revealUntil);
        disputes.tally(id);
    }

    /// @dev The honest party appeals whenever it lost, the other one as well: all dispute long. It may end undecided, but
    /// never does a theft pass, and never is an innocent slashed.
    function testFuzz_anHonestMajorityNeverLoses(bytes32 hash, bool guilty) public {
        IDisputes.Verdict truth = guilty ? IDisputes.Verdict.Guilty : IDisputes.Verdict.Innocent;
        uint256 id = openLineDispute();
        answerAs(bob, id);
        for (uint256 round = 0; round < 3; ++round) {
            decide(id, hash, truth);
            IDisputes.Dispute memory dispute = disputes.disputeOf(id);
            if (dispute.phase == IDisputes.Phase.Resolved) break;
            vm.prank(dispute.verdict == IDisputes.Verdict.Guilty ? bob : alice);
            disputes.appeal(id);
        }
        isPhase(id, IDisputes.Phase.Resolved);
        if (guilty) isStatus(1, ISettlement.Status.Rejected);
        else eq(registry.nodeOf(bob).stake, STAKE, "the innocent keeps his stake");
        eq(registry.nodeOf(guilty ? alice : bob).stake, STAKE, "who is right loses nothing");
    }
}
