// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { AccessControl } from "@openzeppelin/contracts/access/AccessControl.sol";
import { ECDSA } from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import { IFraudProofs } from "./interfaces/IFraudProofs.sol";
import { INodeRegistry } from "./interfaces/INodeRegistry.sol";
import { IProvenance } from "./interfaces/IProvenance.sol";
import { ISettlement } from "./interfaces/ISettlement.sol";
import { LineSet } from "./libraries/LineSet.sol";

/// @title FraudProofs
/// @notice See {IFraudProofs}.
contract FraudProofs is IFraudProofs, AccessControl, EIP712 {
    /// @notice What a settler signs when it announces an epoch off chain.
    bytes32 public constant STATEMENT_TYPEHASH = keccak256("EpochStatement(uint256 epoch,bytes32 commitment)");

    /// @notice Holds the settlers' stake.
    INodeRegistry public immutable registry;
    /// @notice Where epochs are.
    ISettlement public immutable settlement;
    /// @notice Proves that a trace was counted.
    IProvenance public immutable provenance;

    /// @inheritdoc IFraudProofs
    uint96 public penalty;
    mapping(uint256 epoch => mapping(address settler => bool)) private _proved;

    /// @param admin Holds the admin role: the timelock, or the deployer until it hands over.
    constructor(
        address admin,
        INodeRegistry registry_,
        ISettlement settlement_,
        IProvenance provenance_,
        uint96 penalty_
    ) EIP712("r1net FraudProofs", "1") {
        registry = registry_;
        settlement = settlement_;
        provenance = provenance_;
        _setPenalty(penalty_);
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    /// @inheritdoc IFraudProofs
    function proveEquivocation(
        uint256 epoch,
        bytes32 first,
        bytes calldata firstSignature,
        bytes32 second,
        bytes calldata secondSignature
    ) external {
        if (first == second) revert NoContradiction(epoch);
        address settler = ECDSA.recover(statementDigest(epoch, first), firstSignature);
        address other = ECDSA.recover(statementDigest(epoch, second), secondSignature);
        if (settler != other) revert DifferentSigners(settler, other);
        _punish(epoch, settler);
    }

    /// @inheritdoc IFraudProofs
    function proveContradiction(uint256 epoch, bytes32 commitment, bytes calldata signature) external {
        ISettlement.Epoch memory proposed = settlement.epochOf(epoch);
        if (proposed.commitment == commitment) revert NoContradiction(epoch);
        address settler = ECDSA.recover(statementDigest(epoch, commitment), signature);
        if (settler != proposed.proposer) revert DifferentSigners(settler, proposed.proposer);
        _punish(epoch, settler);
    }

    /// @inheritdoc IFraudProofs
    function proveDoubleCount(bytes32 traceDigest, Counted calldata first, Counted calldata second) external {
        (uint256 earlier, uint256 later) = (first.content.epoch, second.content.epoch);
        bool apart = earlier < later || (earlier == later && first.line != second.line);
        if (!apart || !_stands(traceDigest, first) || !_stands(traceDigest, second)) revert CountedOnce(traceDigest);
        _punish(later, settlement.epochOf(later).proposer);
    }

    /// @inheritdoc IFraudProofs
    function setPenalty(uint96 newPenalty) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setPenalty(newPenalty);
    }

    /// @inheritdoc IFraudProofs
    function statementDigest(uint256 epoch, bytes32 commitment) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(STATEMENT_TYPEHASH, epoch, commitment)));
    }

    /// @dev Whether a trace is in a line that was not rejected. Whose trace it is does not matter here.
    function _stands(bytes32 traceDigest, Counted calldata counted) private view returns (bool) {
        IProvenance.Trace memory trace = IProvenance.Trace(traceDigest, address(0));
        IProvenance.Status status = provenance.traceStatus(counted.content, counted.line, trace, counted.proof);
        return status != IProvenance.Status.Unknown && status != IProvenance.Status.Rejected;
    }

    /// @dev Rejects what is not paid of the epoch, if it is the settler's; slashes once for each epoch and settler.
    function _punish(uint256 epoch, address settler) private {
        ISettlement.Epoch memory proposed = settlement.epochOf(epoch);
        bool pending = proposed.proposer == settler && _isPending(proposed);
        bool again = _proved[epoch][settler];
        if (again && !pending) revert AlreadyProved(epoch, settler);
        _proved[epoch][settler] = true;
        if (proposed.proposer == settler) settlement.convict(epoch);
        else settlement.suspend(settler);
        uint256 slashed = again ? 0 : penalty;
        emit FraudProved(epoch, settler, msg.sender, slashed);
        if (slashed != 0) registry.slash(settler, slashed, msg.sender, slashed / 2);
    }

    function _isPending(ISettlement.Epoch memory epoch) private pure returns (bool) {
        return LineSet.first(epoch.lines) != (epoch.paid | epoch.rejected);
    }

    function _setPenalty(uint96 penalty_) private {
        if (penalty_ == 0) revert ParameterOutOfBounds();
        penalty = penalty_;
        emit PenaltyChanged(penalty_);
    }
}
