// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ISettlement } from "./ISettlement.sol";

/// @title IFraudProofs
/// @notice Fraud that proves itself: no bond, no answer, no judge. The guilty settler loses stake, half of it burned.
interface IFraudProofs {
    /// @notice Where a trace was counted.
    /// @param content The epoch's content.
    /// @param line Which of its lines.
    /// @param proof Merkle proof of the trace.
    struct Counted {
        ISettlement.EpochContent content;
        uint256 line;
        bytes32[] proof;
    }

    /// @notice Fraud was proved; `slashed` of the settler's stake was taken.
    event FraudProved(uint256 indexed epoch, address indexed settler, address indexed finder, uint256 slashed);
    /// @notice The penalty changed.
    event PenaltyChanged(uint256 penalty);

    /// @notice The statements were not signed by one settler.
    error DifferentSigners(address first, address second);
    /// @notice The two statements agree.
    error NoContradiction(uint256 epoch);
    /// @notice The trace was counted once only.
    error CountedOnce(bytes32 traceDigest);
    /// @notice This settler has been punished for this epoch already.
    error AlreadyProved(uint256 epoch, address settler);
    /// @notice The parameter lies outside its bounds.
    error ParameterOutOfBounds();

    /// @notice Two different contents signed for one epoch: EIP-712 EpochStatement(uint256 epoch,bytes32 commitment).
    /// @param epoch The epoch.
    /// @param first A commitment.
    /// @param firstSignature The settler's signature over it.
    /// @param second Another commitment.
    /// @param secondSignature The same settler's signature over that.
    function proveEquivocation(
        uint256 epoch,
        bytes32 first,
        bytes calldata firstSignature,
        bytes32 second,
        bytes calldata secondSignature
    ) external;

    /// @notice A signed statement that differs from what its signer proposed on chain.
    /// @param epoch The epoch.
    /// @param commitment What was signed.
    /// @param signature The proposer's signature over it.
    function proveContradiction(uint256 epoch, bytes32 commitment, bytes calldata signature) external;

    /// @notice One trace counted twice, in two lines that both stand. The later epoch's proposer answers.
    /// @param traceDigest The trace.
    /// @param first Where it was counted.
    /// @param second Where it was counted again; not in an earlier epoch than the first.
    function proveDoubleCount(bytes32 traceDigest, Counted calldata first, Counted calldata second) external;

    /// @notice Sets the penalty. Only for the timelock.
    /// @param newPenalty R1 in wei; above 0.
    function setPenalty(uint96 newPenalty) external;

    /// @notice R1 in wei that a proved fraud costs.
    function penalty() external view returns (uint96);

    /// @notice What a settler signs when it announces an epoch off chain.
    function statementDigest(uint256 epoch, bytes32 commitment) external view returns (bytes32);
}
