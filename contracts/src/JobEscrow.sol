// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import { IJobEscrow } from "./interfaces/IJobEscrow.sol";
import { ISettlement } from "./interfaces/ISettlement.sol";
import { BoundedCall } from "./libraries/BoundedCall.sol";

/// @title JobEscrow
/// @notice See {IJobEscrow}.
contract JobEscrow is IJobEscrow, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @dev Packed so that reserving writes two slots and paying one. `fullAt` is when the cap will have refilled, on
    /// the settlement's clock, in units of 2^-TICKS seconds: money reserved moves it ahead, time catches up with it.
    struct Account {
        uint128 available;
        uint128 reserved;
        address token;
        uint96 epochCap;
        address submitter;
        uint40 closedAt;
        uint56 fullAt;
        uint128 funded;
        uint128 refunded;
        bytes32 specDigest;
    }

    /// @dev Bits after the point of `fullAt`.
    uint256 private constant TICKS = 16;

    /// @notice The settlement contract, which made this one.
    address public immutable settlement;
    /// @notice Where paid money goes.
    address public immutable rewards;
    /// @inheritdoc IJobEscrow
    uint256 public immutable closeGrace;
    /// @inheritdoc IJobEscrow
    uint256 public immutable capPeriod;

    mapping(bytes32 jobId => Account) private _jobs;
    /// @inheritdoc IJobEscrow
    mapping(address submitter => uint256) public nonceOf;

    modifier onlySettlement() {
        if (msg.sender != settlement) revert NotSettlement(msg.sender);
        _;
    }

    /// @param rewards_ The rewards contract.
    /// @param closeGrace_ Seconds between close and refund.
    /// @param capPeriod_ Seconds in which a cap refills.
    constructor(address rewards_, uint256 closeGrace_, uint256 capPeriod_) {
        if (capPeriod_ == 0 || capPeriod_ > 30 days || closeGrace_ > 30 days) revert ParameterOutOfBounds();
        settlement = msg.sender;
        rewards = rewards_;
        closeGrace = closeGrace_;
        capPeriod = capPeriod_;
    }

    /// @inheritdoc IJobEscrow
    function createJob(address token, uint256 amount, uint256 epochCap, bytes32 specDigest)
        external
        nonReentrant
        returns (bytes32 jobId)
    {
        if (epochCap == 0) revert ZeroAmount();
        if (epochCap > type(uint96).max) revert AmountTooLarge(epochCap);
        jobId = jobIdOf(msg.sender, nonceOf[msg.sender]++);
        Account storage job = _jobs[jobId];
        job.token = token;
        job.epochCap = uint96(epochCap);
        job.submitter = msg.sender;
        job.specDigest = specDigest;
        _pull(job, amount);
        emit JobCreated(jobId, msg.sender, token, amount, epochCap, specDigest);
    }

    /// @inheritdoc IJobEscrow
    function topUp(bytes32 jobId, uint256 amount) external nonReentrant {
        Account storage job = _known(jobId);
        if (job.closedAt != 0) revert JobIsClosed(jobId);
        _pull(job, amount);
        emit JobToppedUp(jobId, msg.sender, amount);
    }

    /// @inheritdoc IJobEscrow
    function close(bytes32 jobId) external {
        Account storage job = _known(jobId);
        if (job.submitter != msg.sender) revert NotSubmitter(jobId, msg.sender);
        if (job.closedAt != 0) revert JobIsClosed(jobId);
        uint256 present = _clock();
        job.closedAt = uint40(present);
        emit JobClosed(jobId, present + closeGrace);
    }

    /// @inheritdoc IJobEscrow
    function refund(bytes32 jobId) external nonReentrant returns (uint256 amount) {
        Account storage job = _known(jobId);
        if (job.closedAt == 0) revert JobIsOpen(jobId);
        uint256 refundableAt = job.closedAt + closeGrace;
        if (_clock() < refundableAt) revert GraceNotOver(refundableAt);
        amount = job.available;
        if (amount == 0) revert NothingToRefund(jobId);
        job.available = 0;
        job.refunded += uint128(amount);
        emit JobRefunded(jobId, job.submitter, amount);
        IERC20(job.token).safeTransfer(job.submitter, amount);
    }

    /// @inheritdoc IJobEscrow
    function reserve(bytes32 jobId, uint256 amount, uint256 present) external onlySettlement returns (address token) {
        Account storage job = _jobs[jobId];
        uint256 cap;
        (token, cap) = (job.token, job.epochCap);
        if (token == address(0)) revert UnknownJob(jobId);
        uint256 closedAt = job.closedAt;
        if (closedAt != 0 && present >= closedAt + closeGrace) revert JobIsClosed(jobId);
        if (amount > cap) revert EpochCapExceeded(jobId, amount, cap);
        _spend(job, jobId, amount, cap, present);
        (uint128 available, uint128 reserved) = (job.available, job.reserved);
        if (amount > available) revert InsufficientFunds(jobId, amount, available);
        // Checked just above; and both together never exceed what was funded, which fits in 128 bits.
        unchecked {
            (job.available, job.reserved) = (available - uint128(amount), reserved + uint128(amount));
        }
        emit JobReserved(jobId, amount);
    }

    /// @inheritdoc IJobEscrow
    function unreserve(bytes32 jobId, uint256 amount) external onlySettlement {
        Account storage job = _takeReserved(jobId, amount);
        job.available += uint128(amount);
        emit JobUnreserved(jobId, amount);
        // The work is there all the same: whoever did it gets the whole grace to have it settled anew.
        if (job.closedAt == 0 || amount == 0) return;
        uint256 present = _clock();
        job.closedAt = uint40(present);
        emit JobClosed(jobId, present + closeGrace);
    }

    /// @inheritdoc IJobEscrow
    function pay(bytes32 jobId, uint256 amount)
        external
        onlySettlement
        nonReentrant
        returns (bool paid, address token)
    {
        // Without this check a caller could starve the transfer of gas and make an honest token look hostile.
        if (!BoundedCall.hasGas()) revert GasTooLow();
        Account storage job = _takeReserved(jobId, amount);
        token = job.token;
        paid = BoundedCall.tryTransfer(token, rewards, amount);
        if (paid) emit JobPaid(jobId, amount);
        else job.reserved += uint128(amount);
    }

    /// @inheritdoc IJobEscrow
    /// @dev Guarded although it moves nothing: what came just before would spoil the measurement of {_pull}.
    function restore(bytes32 jobId, uint256 amount) external nonReentrant {
        if (msg.sender != rewards) revert NotRewards(msg.sender);
        _jobs[jobId].available += uint128(amount);
        emit JobRestored(jobId, amount);
    }

    /// @inheritdoc IJobEscrow
    function jobOf(bytes32 jobId) external view returns (Job memory) {
        Account storage job = _known(jobId);
        return Job({
            submitter: job.submitter,
            closedAt: job.closedAt,
            token: job.token,
            epochCap: job.epochCap,
            allowance: _allowanceOf(job),
            available: job.available,
            reserved: job.reserved,
            funded: job.funded,
            refunded: job.refunded,
            specDigest: job.specDigest
        });
    }

    /// @inheritdoc IJobEscrow
    function jobIdOf(address submitter, uint256 nonce) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), submitter, nonce));
    }

    /// @dev Measures what arrives. The guard on every function that moves tokens keeps a token that calls back
    /// from nesting two measurements.
    function _pull(Account storage job, uint256 amount) private {
        if (amount == 0) revert ZeroAmount();
        if (amount > type(uint128).max - job.funded) revert AmountTooLarge(amount);
        IERC20 token = IERC20(job.token);
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        if (received != amount) revert UnsupportedToken(address(token), amount, received);
        job.available += uint128(amount);
        job.funded += uint128(amount);
    }

    /// @dev What may be reserved is what time has refilled, at most one cap. Rounding is against who reserves.
    function _spend(Account storage job, bytes32 jobId, uint256 amount, uint256 cap, uint256 present) private {
        (uint256 fullAt, uint256 start) = (job.fullAt, present << TICKS);
        if (fullAt > start) start = fullAt;
        uint256 end = start + (amount * (capPeriod << TICKS) + cap - 1) / cap;
        if (end > (present + capPeriod) << TICKS) revert EpochCapExceeded(jobId, amount, _allowanceOf(job));
        job.fullAt = uint56(end);
    }

    function _allowanceOf(Account storage job) private view returns (uint256) {
        (uint256 fullAt, uint256 start) = (job.fullAt, _clock() << TICKS);
        if (fullAt <= start) return job.epochCap;
        return job.epochCap - (job.epochCap * (fullAt - start) + (capPeriod << TICKS) - 1) / (capPeriod << TICKS);
    }

    function _clock() private view returns (uint256) {
        return ISettlement(settlement).clock();
    }

    function _takeReserved(bytes32 jobId, uint256 amount) private returns (Account storage job) {
        job = _jobs[jobId];
        uint128 reserved = job.reserved;
        if (amount > reserved) revert NotReserved(jobId, amount, reserved);
        unchecked {
            job.reserved = reserved - uint128(amount);
        }
    }

    function _known(bytes32 jobId) private view returns (Account storage job) {
        job = _jobs[jobId];
        if (job.submitter == address(0)) revert UnknownJob(jobId);
    }
}
