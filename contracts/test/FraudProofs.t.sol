// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IAccessControl } from "@openzeppelin/contracts/access/IAccessControl.sol";
import { FraudProofs } from "../src/FraudProofs.sol";
import { IFraudProofs } from "../src/interfaces/IFraudProofs.sol";
import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { ISettlerBonds } from "../src/interfaces/ISettlerBonds.sol";
import { DisputeFixture } from "./helpers/DisputeFixture.sol";
import { Merkle } from "./helpers/Merkle.sol";

contract FraudProofsTest is DisputeFixture {
    uint256 private constant SETTLER_KEY = 0x5E7713;
    address private settler;

    function setUp() public override {
        super.setUp();
        settler = vm.addr(SETTLER_KEY);
        register(settler, STAKE);
        settlement.grantRole(settlement.SETTLER_ROLE(), settler);
    }

    function statement(uint256 key, uint256 epoch, bytes32 commitment) private view returns (bytes memory) {
        return signature(key, fraud.statementDigest(epoch, commitment));
    }

    function proposeWith(bytes32 job, uint256 first) private returns (ISettlement.EpochContent memory content) {
        content = contentOf(job, 10, keccak256("root"));
        content.jobs[0].tracesRoot = Merkle.root(Merkle.traces(first, 8));
        vm.prank(settler);
        settlement.proposeEpoch(content);
    }

    function counted(ISettlement.EpochContent memory content, uint256 first, uint256 trace)
        private
        pure
        returns (IFraudProofs.Counted memory)
    {
        return IFraudProofs.Counted(content, 0, Merkle.proof(Merkle.traces(first, 8), trace - first));
    }

    function punished(uint256 amount) private view {
        punished(amount, 0);
    }

    function punished(uint256 amount, uint256 bond) private view {
        eq(registry.nodeOf(settler).stake, STAKE - amount - bond, "slashed");
        eq(r1.balanceOf(address(this)), SUPPLY - 4 * STAKE + amount / 2, "finder");
        uint256 pending = settlement.bondOf(1);
        eq(registry.nodeOf(settler).locked, pending, "locked");
        check(settlement.suspended(settler), "suspended");
    }

    function testFuzz_twoSignedContentsAreEnough(bytes32 first, bytes32 second, uint256 epoch) public {
        vm.assume(first != second);
        fraud.proveEquivocation(
            epoch, first, statement(SETTLER_KEY, epoch, first), second, statement(SETTLER_KEY, epoch, second)
        );
        punished(PENALTY);
    }

    function test_equivocationRejectsThePendingEpoch() public {
        ISettlement.EpochContent memory content = proposeWith(jobId, 1);
        (bytes32 one, bytes32 two) = (settlement.commitmentOf(content), keccak256("another"));
        fraud.proveEquivocation(1, one, statement(SETTLER_KEY, 1, one), two, statement(SETTLER_KEY, 1, two));
        isStatus(1, ISettlement.Status.Rejected);
        punished(PENALTY, BASE_BOND);
    }

    function testFuzz_oneContentTwiceIsNoFraud(bytes32 commitment) public {
        bytes memory signed = statement(SETTLER_KEY, 1, commitment);
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.NoContradiction.selector, 1));
        fraud.proveEquivocation(1, commitment, signed, commitment, signed);
    }

    function testFuzz_twoSignersAreNoFraud(uint256 key) public {
        key = bound(key, 1, type(uint128).max);
        vm.assume(key != SETTLER_KEY);
        (bytes32 one, bytes32 two) = (keccak256("one"), keccak256("two"));
        bytes memory first = statement(SETTLER_KEY, 1, one);
        bytes memory second = statement(key, 1, two);
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.DifferentSigners.selector, settler, vm.addr(key)));
        fraud.proveEquivocation(1, one, first, two, second);
    }

    function testFuzz_statementsOfAnotherChainProveNothing(uint64 chain) public {
        vm.assume(chain != 0 && chain != block.chainid);
        (bytes32 one, bytes32 two) = (keccak256("one"), keccak256("two"));
        bytes memory first = statement(SETTLER_KEY, 1, one);
        bytes memory second = statement(SETTLER_KEY, 1, two);
        vm.chainId(chain);
        vm.expectPartialRevert(IFraudProofs.DifferentSigners.selector);
        fraud.proveEquivocation(1, one, first, two, second);
    }

    function test_statementsForAnotherContractProveNothing() public {
        FraudProofs other = new FraudProofs(address(this), registry, settlement, provenance, 1);
        (bytes32 one, bytes32 two) = (keccak256("one"), keccak256("two"));
        bytes memory first = signature(SETTLER_KEY, other.statementDigest(1, one));
        bytes memory second = signature(SETTLER_KEY, other.statementDigest(1, two));
        vm.expectPartialRevert(IFraudProofs.DifferentSigners.selector);
        fraud.proveEquivocation(1, one, first, two, second);
    }

    function test_punishedOnceForEachEpoch() public {
        (bytes32 one, bytes32 two) = (keccak256("one"), keccak256("two"));
        bytes memory first = statement(SETTLER_KEY, 5, one);
        bytes memory second = statement(SETTLER_KEY, 5, two);
        fraud.proveEquivocation(5, one, first, two, second);
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.AlreadyProved.selector, 5, settler));
        fraud.proveEquivocation(5, two, second, one, first);
        punished(PENALTY);
    }

    function test_whoWasPunishedBeforeProposingIsStillRejected() public {
        (bytes32 one, bytes32 two) = (keccak256("one"), keccak256("two"));
        bytes memory first = statement(SETTLER_KEY, 1, one);
        fraud.proveEquivocation(1, one, first, two, statement(SETTLER_KEY, 1, two));
        ISettlement.EpochContent memory content = contentOf(jobId, 10, keccak256("root"));
        vm.prank(settler);
        vm.expectRevert(abi.encodeWithSelector(ISettlerBonds.SettlerSuspended.selector, settler));
        settlement.proposeEpoch(content);
        settlement.reinstate(settler);
        proposeWith(jobId, 1);
        fraud.proveContradiction(1, one, first);
        isStatus(1, ISettlement.Status.Rejected);
        punished(PENALTY, BASE_BOND);
    }

    function testFuzz_aStatementAgainstOnesOwnProposal(bytes32 commitment) public {
        ISettlement.EpochContent memory content = proposeWith(jobId, 1);
        vm.assume(commitment != settlement.commitmentOf(content));
        fraud.proveContradiction(1, commitment, statement(SETTLER_KEY, 1, commitment));
        isStatus(1, ISettlement.Status.Rejected);
        punished(PENALTY, BASE_BOND);
    }

    function test_aStatementThatAgreesProvesNothing() public {
        bytes32 commitment = settlement.commitmentOf(proposeWith(jobId, 1));
        bytes memory signed = statement(SETTLER_KEY, 1, commitment);
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.NoContradiction.selector, 1));
        fraud.proveContradiction(1, commitment, signed);
    }

    function testFuzz_anothersStatementIsNoContradiction(uint256 key) public {
        key = bound(key, 1, type(uint128).max);
        vm.assume(key != SETTLER_KEY);
        proposeWith(jobId, 1);
        bytes memory signed = statement(key, 1, keccak256("other"));
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.DifferentSigners.selector, vm.addr(key), settler));
        fraud.proveContradiction(1, keccak256("other"), signed);
    }

    function testFuzz_aTraceCountedInTwoEpochs(uint256 trace) public {
        trace = bound(trace, 5, 8);
        ISettlement.EpochContent memory one = proposeWith(jobId, 1);
        ISettlement.EpochContent memory two = proposeWith(jobId, 5);
        fraud.proveDoubleCount(bytes32(trace), counted(one, 1, trace), counted(two, 5, trace));
        isStatus(1, ISettlement.Status.Pending);
        isStatus(2, ISettlement.Status.Rejected);
        punished(PENALTY, BASE_BOND);
    }

    function test_finalEpochsAreNotRejectedButTheirSettlerIsSlashed() public {
        ISettlement.EpochContent memory one = proposeWith(jobId, 1);
        ISettlement.EpochContent memory two = proposeWith(jobId, 1);
        skip(WINDOW);
        settlement.finaliseEpoch(one);
        settlement.finaliseEpoch(two);
        fraud.proveDoubleCount(bytes32(uint256(1)), counted(one, 1, 1), counted(two, 1, 1));
        isStatus(2, ISettlement.Status.Finalised);
        punished(PENALTY);
        IFraudProofs.Counted memory first = counted(one, 1, 1);
        IFraudProofs.Counted memory second = counted(two, 1, 1);
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.AlreadyProved.selector, 2, settler));
        fraud.proveDoubleCount(bytes32(uint256(1)), first, second);
    }

    function test_aTraceCountedInTwoJobsOfOneEpoch() public {
        bytes32 other = fund(bob, 1000, 1000);
        bytes32[] memory jobs = new bytes32[](2);
        (jobs[0], jobs[1]) = (jobId, other);
        ISettlement.EpochContent memory content = contentOf(jobs, 1);
        vm.prank(settler);
        settlement.proposeEpoch(content);
        bytes32[] memory proof = Merkle.proof(Merkle.traces(1, 8), 2);
        fraud.proveDoubleCount(
            bytes32(uint256(3)), IFraudProofs.Counted(content, 0, proof), IFraudProofs.Counted(content, 1, proof)
        );
        isStatus(1, 0, ISettlement.Status.Rejected);
        isStatus(1, 1, ISettlement.Status.Rejected);
        punished(PENALTY, BASE_BOND);
    }

    function testFuzz_onceIsNoFraud(uint256 trace) public {
        trace = bound(trace, 1, 8);
        ISettlement.EpochContent memory one = proposeWith(jobId, 1);
        ISettlement.EpochContent memory two = proposeWith(jobId, 9);
        IFraudProofs.Counted memory first = counted(one, 1, trace);
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.CountedOnce.selector, bytes32(trace)));
        fraud.proveDoubleCount(bytes32(trace), first, first);
        IFraudProofs.Counted memory second = IFraudProofs.Counted(two, 0, first.proof);
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.CountedOnce.selector, bytes32(trace)));
        fraud.proveDoubleCount(bytes32(trace), first, second);
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.CountedOnce.selector, bytes32(trace)));
        fraud.proveDoubleCount(bytes32(trace), second, first);
    }

    function test_workProposedAnewAfterARejectionIsNoDoubleCount() public {
        ISettlement.EpochContent memory one = proposeWith(jobId, 1);
        settlement.reject(1, 0);
        ISettlement.EpochContent memory two = proposeWith(jobId, 1);
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.CountedOnce.selector, bytes32(uint256(1))));
        fraud.proveDoubleCount(bytes32(uint256(1)), counted(one, 1, 1), counted(two, 1, 1));
    }

    function testFuzz_slashingNeverExceedsTheStake(uint96 penalty) public {
        penalty = uint96(bound(penalty, STAKE, type(uint96).max));
        fraud.setPenalty(penalty);
        (bytes32 one, bytes32 two) = (keccak256("one"), keccak256("two"));
        fraud.proveEquivocation(1, one, statement(SETTLER_KEY, 1, one), two, statement(SETTLER_KEY, 1, two));
        punished(STAKE);
    }

    /// @dev All stake is locked elsewhere, so that nothing is free: the proof takes it all the same.
    function test_lockedStakeIsNoShield() public {
        bytes32 commitment = keccak256("other");
        proposeWith(jobId, 1);
        registry.lock(settler, STAKE);
        fraud.proveContradiction(1, commitment, statement(SETTLER_KEY, 1, commitment));
        isStatus(1, ISettlement.Status.Rejected);
        eq(registry.nodeOf(settler).stake, STAKE - PENALTY - BASE_BOND, "slashed");
    }

    /// @dev With less stake than the penalty the rest is owed, and no proof is spent for nothing.
    function test_whatASettlerLacksHeOwes() public {
        registry.slash(settler, STAKE - PENALTY / 4, address(0), 0);
        (bytes32 one, bytes32 two) = (keccak256("one"), keccak256("two"));
        fraud.proveEquivocation(5, one, statement(SETTLER_KEY, 5, one), two, statement(SETTLER_KEY, 5, two));
        eq(registry.nodeOf(settler).stake, 0, "all of it");
        eq(registry.nodeOf(settler).debt, PENALTY - PENALTY / 4, "owed");
    }

    function testFuzz_onlyTheAdminSetsThePenalty(address caller) public {
        vm.assume(caller != address(this));
        vm.expectRevert(IFraudProofs.ParameterOutOfBounds.selector);
        fraud.setPenalty(0);
        vm.prank(caller);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, caller, bytes32(0))
        );
        fraud.setPenalty(1);
    }
}
