// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { AccessControl } from "@openzeppelin/contracts/access/AccessControl.sol";
import { INodeRegistry } from "./interfaces/INodeRegistry.sol";
import { ISettlerBonds } from "./interfaces/ISettlerBonds.sol";
import { IVerifierPool } from "./interfaces/IVerifierPool.sol";

/// @title SettlerBonds
/// @notice See {ISettlerBonds}.
abstract contract SettlerBonds is ISettlerBonds, AccessControl {
    /// @notice May freeze, reject and convict: the courts.
    bytes32 public constant DISPUTES_ROLE = keccak256("DISPUTES_ROLE");

    /// @dev A rate of zero is a rate too.
    struct Rate {
        uint96 value;
        bool listed;
    }

    /// @notice Holds the settlers' stake.
    INodeRegistry public immutable registry;
    /// @inheritdoc ISettlerBonds
    IVerifierPool public pool;
    /// @inheritdoc ISettlerBonds
    mapping(address settler => bool) public suspended;

    BondTerms private _terms;
    mapping(address token => Rate) private _rates;

    constructor(INodeRegistry registry_, BondTerms memory terms) {
        registry = registry_;
        _setBondTerms(terms);
    }

    /// @inheritdoc ISettlerBonds
    function setPool(IVerifierPool newPool) external onlyRole(DEFAULT_ADMIN_ROLE) {
        if (address(pool) != address(0)) revert PoolIsSet();
        pool = newPool;
        emit PoolSet(newPool);
    }

    /// @inheritdoc ISettlerBonds
    function setBondTerms(BondTerms calldata terms) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setBondTerms(terms);
    }

    /// @inheritdoc ISettlerBonds
    function setBondRate(address token, uint96 rate) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _rates[token] = Rate(rate, true);
        emit BondRateChanged(token, rate);
    }

    /// @inheritdoc ISettlerBonds
    function suspend(address settler) external onlyRole(DISPUTES_ROLE) {
        _suspend(settler);
    }

    /// @inheritdoc ISettlerBonds
    function reinstate(address settler) external onlyRole(DEFAULT_ADMIN_ROLE) {
        suspended[settler] = false;
        emit SettlerReinstated(settler);
    }

    /// @inheritdoc ISettlerBonds
    function bondTerms() external view returns (BondTerms memory) {
        return _terms;
    }

    /// @inheritdoc ISettlerBonds
    function bondRate(address token) public view returns (uint256) {
        Rate memory rate = _rates[token];
        return rate.listed ? rate.value : _terms.defaultRate;
    }

    /// @dev Who may propose now: with a stake, without a conviction, and where there are jurors to judge him.
    function _requireFit(address settler) internal view {
        if (suspended[settler]) revert SettlerSuspended(settler);
        if (!registry.isActive(settler)) revert SettlerNotActive(settler);
        if (address(pool) == address(0) || !pool.ready()) revert TooFewJurors();
    }

    /// @param worth Sum of amount times rate over the lines, see {_worthOf}.
    function _lockBond(address settler, uint256 worth) internal returns (uint96) {
        uint256 bond = _terms.base + worth / 1e18;
        uint256 locked = registry.lock(settler, bond);
        if (locked < bond) revert SettlerBondNotCovered(settler, bond, locked);
        // Stake, and so what can be locked of it, fits in 96 bits.
        return uint96(bond);
    }

    function _worthOf(address token, uint256 amount) internal view returns (uint256) {
        return amount * bondRate(token);
    }

    function _releaseBond(address settler, uint256 bond) internal {
        registry.unlock(settler, bond);
    }

    /// @dev All of it is burned: what the challenger earns comes from the penalty of the dispute.
    function _burnBond(address settler, uint256 bond) internal {
        registry.unlock(settler, bond);
        registry.slash(settler, bond, address(0), 0);
    }

    function _suspend(address settler) internal {
        if (suspended[settler]) return;
        suspended[settler] = true;
        emit SettlerWasSuspended(settler);
    }

    function _setBondTerms(BondTerms memory terms) private {
        if (terms.base == 0) revert ParameterOutOfBounds();
        _terms = terms;
        emit BondTermsChanged(terms.base, terms.defaultRate);
    }
}
