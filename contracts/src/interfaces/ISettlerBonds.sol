// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IVerifierPool } from "./IVerifierPool.sol";

/// @title ISettlerBonds
/// @notice What a settler stands to lose: stake in proportion to the money that his epochs reserve, locked until no
/// line of theirs is pending or disputed, and burned with a conviction, which also suspends him.
interface ISettlerBonds {
    /// @notice Terms of the bonds.
    /// @param base R1 in wei for every epoch; above 0.
    /// @param defaultRate R1 in wei for 1e18 of the smallest units of a token without a rate of its own.
    struct BondTerms {
        uint96 base;
        uint96 defaultRate;
    }

    /// @notice The pool of jurors was named.
    event PoolSet(IVerifierPool indexed pool);
    /// @notice The terms changed, for epochs proposed from now on.
    event BondTermsChanged(uint256 base, uint256 defaultRate);
    /// @notice A token has a rate of its own from now on.
    event BondRateChanged(address indexed token, uint256 rate);
    /// @notice A settler was convicted and may not propose.
    event SettlerWasSuspended(address indexed settler);
    /// @notice A settler may propose again.
    event SettlerReinstated(address indexed settler);

    /// @notice The pool of jurors is named once.
    error PoolIsSet();
    /// @notice The settler was convicted; governance may reinstate him.
    error SettlerSuspended(address settler);
    /// @notice The settler has no stake, too little of it, or is leaving.
    error SettlerNotActive(address settler);
    /// @notice There are too few jurors to judge an epoch, so that none may be proposed.
    error TooFewJurors();
    /// @notice The settler's free stake does not cover the epoch's bond.
    error SettlerBondNotCovered(address settler, uint256 bond, uint256 free);
    /// @notice The parameter lies outside its bounds.
    error ParameterOutOfBounds();

    /// @notice Names the pool that must be ready whenever an epoch is proposed. Once; only for the admin.
    function setPool(IVerifierPool newPool) external;

    /// @notice Sets the terms of future bonds. Only for the timelock.
    function setBondTerms(BondTerms calldata terms) external;

    /// @notice Gives a token a rate of its own. Only for the timelock.
    /// @param token The ERC-20.
    /// @param rate R1 in wei for 1e18 of its smallest units.
    function setBondRate(address token, uint96 rate) external;

    /// @notice Suspends a settler, whatever becomes of his epochs: those that are pending stay open to challenge. Only
    /// for the courts.
    function suspend(address settler) external;

    /// @notice Lets a suspended settler propose again. Only for the timelock.
    function reinstate(address settler) external;

    /// @notice The terms of bonds.
    function bondTerms() external view returns (BondTerms memory);

    /// @notice R1 in wei for 1e18 of a token's smallest units.
    function bondRate(address token) external view returns (uint256);

    /// @notice R1 in wei that an epoch's proposer has locked for it: until each line was paid, refused by its token after
    /// the window, or rejected, and none is disputed.
    function bondOf(uint256 epoch) external view returns (uint256);

    /// @notice The pool that must be ready whenever an epoch is proposed.
    function pool() external view returns (IVerifierPool);

    /// @notice Whether a settler was convicted and not reinstated.
    function suspended(address settler) external view returns (bool);
}
