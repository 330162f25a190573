// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { AccessControl } from "@openzeppelin/contracts/access/AccessControl.sol";
import { ISettlement } from "./interfaces/ISettlement.sol";

/// @title SettlementClock
/// @notice The number of the next epoch, the challenge window, and the clock that stands still in pauses. See
/// {ISettlement}.
abstract contract SettlementClock is ISettlement, AccessControl {
    /// @notice May pause.
    bytes32 public constant GUARDIAN_ROLE = keccak256("GUARDIAN_ROLE");
    /// @notice Longest challenge window.
    uint256 public constant MAX_CHALLENGE_WINDOW = 30 days;
    /// @notice Longest pause, and the shortest time between two: nobody can stop settlement for ever.
    uint256 public constant MAX_PAUSE = 7 days;

    /// @dev One slot: what every proposal and finalisation reads. `stopped` is how long the clock stood still in all
    /// pauses before the last one, which began at `pausedFrom`.
    struct Times {
        uint32 nextEpoch;
        uint40 challengeWindow;
        uint40 pausedFrom;
        uint40 pausedUntil;
        uint40 stopped;
    }

    Times internal _times;

    constructor(uint256 challengeWindow_) {
        _times.nextEpoch = 1;
        _setChallengeWindow(challengeWindow_);
    }

    /// @inheritdoc ISettlement
    function pause() external onlyRole(GUARDIAN_ROLE) {
        Times storage times = _times;
        uint40 free = times.pausedUntil;
        // The first pause has nothing to cool down from.
        if (free != 0 && block.timestamp < free + MAX_PAUSE) revert PauseCoolingDown(free + MAX_PAUSE);
        times.stopped += free - times.pausedFrom;
        times.pausedFrom = uint40(block.timestamp);
        times.pausedUntil = uint40(block.timestamp + MAX_PAUSE);
        emit Paused(msg.sender, block.timestamp + MAX_PAUSE);
    }

    /// @inheritdoc ISettlement
    function unpause() external {
        if (!hasRole(GUARDIAN_ROLE, msg.sender)) _checkRole(DEFAULT_ADMIN_ROLE);
        // Ending what has ended would move the clock.
        if (block.timestamp >= _times.pausedUntil) revert NotPaused();
        _times.pausedUntil = uint40(block.timestamp);
        emit Unpaused(msg.sender);
    }

    /// @inheritdoc ISettlement
    function setChallengeWindow(uint256 newChallengeWindow) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setChallengeWindow(newChallengeWindow);
    }

    /// @inheritdoc ISettlement
    function nextEpoch() external view returns (uint256) {
        return _times.nextEpoch;
    }

    /// @inheritdoc ISettlement
    function challengeWindow() external view returns (uint256) {
        return _times.challengeWindow;
    }

    /// @inheritdoc ISettlement
    function clock() external view returns (uint256) {
        return _clockOf(_times);
    }

    /// @inheritdoc ISettlement
    function pausedUntil() external view returns (uint256) {
        return _times.pausedUntil;
    }

    function _clockOf(Times memory times) internal view returns (uint256) {
        uint256 present = block.timestamp < times.pausedUntil ? block.timestamp : times.pausedUntil;
        return block.timestamp - times.stopped - (present - times.pausedFrom);
    }

    function _requireRunning(Times memory times) internal view {
        if (block.timestamp < times.pausedUntil) revert IsPaused(times.pausedUntil);
    }

    function _setChallengeWindow(uint256 challengeWindow_) private {
        if (challengeWindow_ == 0 || challengeWindow_ > MAX_CHALLENGE_WINDOW) revert ParameterOutOfBounds();
        _times.challengeWindow = uint40(challengeWindow_);
        emit ChallengeWindowChanged(challengeWindow_);
    }
}
