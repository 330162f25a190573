// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title IJobEscrow
/// @notice Holds the budget of every job, each in its own account.
/// @dev For each job: funded = available + reserved + paid + refunded; what was forfeited is not paid. Only the settlement
/// contract moves money towards nodes, first by reserving it when an epoch is proposed and then by paying its line.
interface IJobEscrow {
    /// @notice A job's account; amounts in the token's smallest unit.
    /// @param submitter Who funded it, closes it, and gets the rest back.
    /// @param closedAt Time of the settlement's clock from which the grace runs: when it was closed, or when money of a
    /// rejected line last came back; 0 while it is open.
    /// @param token The ERC-20 it pays in.
    /// @param epochCap Most that one epoch may take, and all epochs of a cap period together.
    /// @param allowance What of the cap an epoch may take now: it refills with time, to one cap at most.
    /// @param available Neither reserved, paid nor refunded.
    /// @param reserved Promised to lines that are not paid yet.
    /// @param funded All that was ever put in.
    /// @param refunded All that went back to the submitter.
    /// @param specDigest Digest of the job's specification.
    struct Job {
        address submitter;
        uint40 closedAt;
        address token;
        uint96 epochCap;
        uint256 allowance;
        uint128 available;
        uint128 reserved;
        uint128 funded;
        uint128 refunded;
        bytes32 specDigest;
    }

    /// @notice A job was created and funded.
    event JobCreated(
        bytes32 indexed jobId,
        address indexed submitter,
        address indexed token,
        uint256 amount,
        uint256 epochCap,
        bytes32 specDigest
    );
    /// @notice A job got more money.
    event JobToppedUp(bytes32 indexed jobId, address indexed from, uint256 amount);
    /// @notice A job takes no more money; the rest can go back from `refundableAt` on, by the settlement's clock. Comes
    /// again when money of a rejected line comes back, which starts the grace anew.
    event JobClosed(bytes32 indexed jobId, uint256 refundableAt);
    /// @notice What was left went back to the submitter.
    event JobRefunded(bytes32 indexed jobId, address indexed submitter, uint256 amount);
    /// @notice Money was promised to a proposed epoch.
    event JobReserved(bytes32 indexed jobId, uint256 amount);
    /// @notice A promise was taken back, because its line was rejected.
    event JobUnreserved(bytes32 indexed jobId, uint256 amount);
    /// @notice Money left for the rewards contract.
    event JobPaid(bytes32 indexed jobId, uint256 amount);
    /// @notice Money came back from the rewards contract: whoever it was for forfeited it.
    event JobRestored(bytes32 indexed jobId, uint256 amount);

    /// @notice Only the settlement contract may do this.
    error NotSettlement(address caller);
    /// @notice Only the rewards contract may do this.
    error NotRewards(address caller);
    /// @notice Only the job's submitter may do this.
    error NotSubmitter(bytes32 jobId, address caller);
    /// @notice There is no such job.
    error UnknownJob(bytes32 jobId);
    /// @notice The job is closed.
    error JobIsClosed(bytes32 jobId);
    /// @notice The job is open; close it first.
    error JobIsOpen(bytes32 jobId);
    /// @notice The time for last settlements is not over.
    error GraceNotOver(uint256 refundableAt);
    /// @notice The parameter lies outside its bounds.
    error ParameterOutOfBounds();
    /// @notice Nothing is left to refund.
    error NothingToRefund(bytes32 jobId);
    /// @notice The amount is zero.
    error ZeroAmount();
    /// @notice The amount does not fit (128 bits for funds, 96 bits for the cap).
    error AmountTooLarge(uint256 amount);
    /// @notice The token delivered another amount than asked for; fee-on-transfer tokens are refused.
    error UnsupportedToken(address token, uint256 expected, uint256 received);
    /// @notice An epoch asks for more than the cap, or than what is left of it until it has refilled.
    error EpochCapExceeded(bytes32 jobId, uint256 amount, uint256 epochCap);
    /// @notice An epoch asks for more than is available.
    error InsufficientFunds(bytes32 jobId, uint256 amount, uint256 available);
    /// @notice More than is reserved was to be paid or taken back.
    error NotReserved(bytes32 jobId, uint256 amount, uint256 reserved);
    /// @notice The transaction has too little gas left to try the transfer fairly.
    error GasTooLow();

    /// @notice Creates and funds a job.
    /// @param token The ERC-20 it pays in; fee-on-transfer tokens are refused.
    /// @param amount Budget, taken from the caller by allowance.
    /// @param epochCap Most that one epoch may take, and all epochs of a cap period together.
    /// @param specDigest Digest of the job's specification.
    /// @return jobId keccak256(chain id, this contract, caller, caller's nonce).
    function createJob(address token, uint256 amount, uint256 epochCap, bytes32 specDigest)
        external
        returns (bytes32 jobId);

    /// @notice Adds money to an open job. Anyone may.
    /// @param jobId The job.
    /// @param amount Taken from the caller by allowance.
    function topUp(bytes32 jobId, uint256 amount) external;

    /// @notice Ends a job. Work done until now can still be settled during the grace period.
    /// @param jobId The job.
    function close(bytes32 jobId) external;

    /// @notice Sends what is available to the submitter, after the grace period. What lines hold then stays for them, and
    /// can be asked for once it has come back. Anyone may call.
    /// @param jobId The job.
    /// @return amount What was sent.
    function refund(bytes32 jobId) external returns (uint256 amount);

    /// @notice Promises money to a proposed epoch. Only for the settlement contract, once for each line.
    /// @param jobId The job.
    /// @param amount At most what is left of the cap, and what is available.
    /// @param present Time of the settlement's clock. Nothing is reserved from a closed job after its grace.
    /// @return token What the job pays in.
    function reserve(bytes32 jobId, uint256 amount, uint256 present) external returns (address token);

    /// @notice Takes a promise back. Only for the settlement contract.
    /// @param jobId The job.
    /// @param amount As reserved.
    function unreserve(bytes32 jobId, uint256 amount) external;

    /// @notice Pays a promise to the rewards contract. Only for the settlement contract. If the token refuses the
    /// transfer, the money stays promised.
    /// @param jobId The job.
    /// @param amount As reserved.
    /// @return paid Whether the token moved it.
    /// @return token What the job pays in.
    function pay(bytes32 jobId, uint256 amount) external returns (bool paid, address token);

    /// @notice Takes money back that was paid and forfeited; it has arrived already. Only for the rewards contract. Also
    /// for a closed job, whose submitter can ask for a refund again.
    /// @param jobId The job.
    /// @param amount What came back.
    function restore(bytes32 jobId, uint256 amount) external;

    /// @notice A job's account.
    function jobOf(bytes32 jobId) external view returns (Job memory);

    /// @notice The id of a submitter's job number `nonce`, counted from 0.
    function jobIdOf(address submitter, uint256 nonce) external view returns (bytes32);

    /// @notice How many jobs a submitter has created.
    function nonceOf(address submitter) external view returns (uint256);

    /// @notice Seconds in which a job's cap refills.
    function capPeriod() external view returns (uint256);

    /// @notice Seconds of the settlement's clock between close and refund.
    function closeGrace() external view returns (uint256);
}
