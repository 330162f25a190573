// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { INodeRegistry } from "../../src/interfaces/INodeRegistry.sol";
import { ISettlement } from "../../src/interfaces/ISettlement.sol";
import { ISettlerBonds } from "../../src/interfaces/ISettlerBonds.sol";
import { IVerifierPool } from "../../src/interfaces/IVerifierPool.sol";
import { JobEscrow } from "../../src/JobEscrow.sol";
import { NodeRegistry } from "../../src/NodeRegistry.sol";
import { R1Token } from "../../src/R1Token.sol";
import { Rewards } from "../../src/Rewards.sol";
import { Settlement } from "../../src/Settlement.sol";
import { Merkle } from "./Merkle.sol";
import { TestBase } from "./TestBase.sol";
import { PlainToken } from "./Tokens.sol";
import { Vm } from "./Vm.sol";

/// @title Fixture
/// @notice The whole network, deployed; this contract is its admin, settler, guardian and slasher, and says whether
/// there are jurors enough.
abstract contract Fixture is TestBase {
    uint256 internal constant MIN_STAKE = 1000 ether;
    uint256 internal constant UNBONDING = 14 days;
    uint256 internal constant WINDOW = 1 days;
    uint256 internal constant GRACE = 2 days;
    uint256 internal constant CAP_PERIOD = 1 hours;
    uint256 internal constant SETTLER_STAKE = 1_000_000 ether;
    /// @dev So small that other tests need not reckon with it; those of the bonds set their own.
    uint96 internal constant BASE_BOND = 1;
    uint96 internal constant SUPPLY = 1_000_000_000 ether;

    R1Token internal r1;
    Settlement internal settlement;
    JobEscrow internal escrow;
    Rewards internal rewards;
    NodeRegistry internal registry;
    PlainToken internal money;
    bool internal jurorsMissing;

    address internal alice = address(0xA11CE);
    address internal bob = address(0xB0B);
    address internal carol = address(0xCA401);

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        vm.roll(1000);
        r1 = new R1Token(address(this), SUPPLY);
        registry = new NodeRegistry(address(this), r1, MIN_STAKE, UNBONDING);
        ISettlerBonds.BondTerms memory terms = ISettlerBonds.BondTerms(BASE_BOND, 0);
        settlement = new Settlement(address(this), registry, WINDOW, GRACE, CAP_PERIOD, terms);
        settlement.setPool(IVerifierPool(address(this)));
        escrow = JobEscrow(address(settlement.escrow()));
        rewards = Rewards(address(settlement.rewards()));
        money = new PlainToken();
        settlement.grantRole(settlement.SETTLER_ROLE(), address(this));
        settlement.grantRole(settlement.DISPUTES_ROLE(), address(this));
        settlement.grantRole(settlement.GUARDIAN_ROLE(), address(this));
        registry.grantRole(registry.SLASHER_ROLE(), address(this));
        registry.grantRole(registry.SLASHER_ROLE(), address(settlement));
    }

    /// @dev Only where it settles itself, so that all other tests reckon with the whole supply.
    function becomeSettler() internal {
        if (registry.isActive(address(this))) return;
        r1.approve(address(registry), SETTLER_STAKE);
        registry.register(SETTLER_STAKE);
    }

    /// @notice As IVerifierPool has it.
    function ready() external view returns (bool) {
        return !jurorsMissing;
    }

    function register(address owner, uint256 stake) internal {
        r1.transfer(owner, stake);
        vm.startPrank(owner);
        r1.approve(address(registry), stake);
        registry.register(stake);
        vm.stopPrank();
    }

    function workerProof(address owner, uint256 key, uint256 deadline)
        internal
        returns (INodeRegistry.WorkerProof memory)
    {
        Vm.Wallet memory wallet = vm.createWallet(key);
        bytes32 digest = registry.bindingDigest(owner, wallet.addr, deadline);
        return INodeRegistry.WorkerProof({
            x: bytes32(wallet.publicKeyX),
            y: bytes32(wallet.publicKeyY),
            deadline: deadline,
            signature: signature(key, digest)
        });
    }

    function signature(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function bind(address owner, uint256 key) internal returns (address worker) {
        INodeRegistry.WorkerProof memory proof = workerProof(owner, key, block.timestamp);
        vm.prank(owner);
        registry.bindWorker(proof);
        return vm.addr(key);
    }

    function fund(address submitter, uint256 amount, uint256 cap) internal returns (bytes32 jobId) {
        money.mint(submitter, amount);
        vm.startPrank(submitter);
        money.approve(address(escrow), amount);
        jobId = escrow.createJob(address(money), amount, cap, keccak256("spec"));
        vm.stopPrank();
    }

    /// @dev A job of alice's in a token of one's own.
    function fundIn(PlainToken token, uint256 amount) internal returns (bytes32 jobId) {
        token.mint(alice, amount);
        vm.startPrank(alice);
        token.approve(address(escrow), type(uint256).max);
        jobId = escrow.createJob(address(token), amount, amount, 0);
        vm.stopPrank();
    }

    function lineOf(bytes32 jobId, uint256 amount) internal pure returns (ISettlement.JobSettlement memory) {
        return lineOf(jobId, amount, keccak256("root"));
    }

    function lineOf(bytes32 jobId, uint256 amount, bytes32 root)
        internal
        pure
        returns (ISettlement.JobSettlement memory)
    {
        return ISettlement.JobSettlement({
            jobId: jobId,
            amount: amount,
            rewardsRoot: root,
            reportDigest: keccak256("report"),
            tracesRoot: Merkle.root(Merkle.traces(1, 8)),
            traceCount: 8,
            parentPolicy: keccak256("parent"),
            newPolicy: keccak256("new")
        });
    }

    function contentOf(bytes32 jobId, uint256 amount, bytes32 root)
        internal
        view
        returns (ISettlement.EpochContent memory content)
    {
        content.epoch = settlement.nextEpoch();
        content.jobs = new ISettlement.JobSettlement[](1);
        content.jobs[0] = lineOf(jobId, amount, root);
    }

    /// @dev One line of `amount` for each job, sorted.
    function contentOf(bytes32[] memory jobs, uint256 amount)
        internal
        view
        returns (ISettlement.EpochContent memory content)
    {
        content.epoch = settlement.nextEpoch();
        content.jobs = new ISettlement.JobSettlement[](jobs.length);
        for (uint256 i = 0; i < jobs.length; ++i) {
            uint256 place = i;
            for (; place > 0 && content.jobs[place - 1].jobId > jobs[i]; --place) {
                content.jobs[place] = content.jobs[place - 1];
            }
            content.jobs[place] = lineOf(jobs[i], amount);
        }
    }

    function propose(bytes32 jobId, uint256 amount, bytes32 root)
        internal
        returns (ISettlement.EpochContent memory content)
    {
        content = contentOf(jobId, amount, root);
        propose(content);
    }

    function propose(ISettlement.EpochContent memory content) internal {
        becomeSettler();
        settlement.proposeEpoch(content);
    }

    function settle(bytes32 jobId, uint256 amount, bytes32 root) internal returns (uint256 epoch) {
        ISettlement.EpochContent memory content = propose(jobId, amount, root);
        skip(WINDOW);
        settlement.finaliseEpoch(content);
        return content.epoch;
    }

    function isDisputed(uint256 epoch, uint256 line) internal view returns (bool) {
        return (settlement.epochOf(epoch).disputed >> line) & 1 == 1;
    }

    function nothingToPay(ISettlement.EpochContent memory content) internal {
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NothingToPay.selector, content.epoch));
        settlement.finaliseEpoch(content);
    }

    function statusOf(uint256 epoch) internal view returns (ISettlement.Status) {
        return settlement.statusOf(epoch, 0);
    }

    function isStatus(uint256 epoch, ISettlement.Status status) internal view {
        isStatus(epoch, 0, status);
    }

    function isStatus(uint256 epoch, uint256 line, ISettlement.Status status) internal view {
        eq(uint256(settlement.statusOf(epoch, line)), uint256(status), "status");
    }
}
