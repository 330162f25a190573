// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title INodeRegistry
/// @notice Who takes part: owners with a stake, and the workers (libp2p identities) that act for them.
/// @dev All stake of the network lies here, bonds of disputes included: those are locked stake, not transfers.
interface INodeRegistry {
    /// @notice A worker key's proof that it belongs to the caller.
    /// @param x X coordinate of the worker's secp256k1 public key.
    /// @param y Y coordinate of the worker's secp256k1 public key.
    /// @param deadline Last second (Unix time) at which the signature counts.
    /// @param signature EIP-712 signature by the worker key over BindWorker(owner, nonce, deadline).
    struct WorkerProof {
        bytes32 x;
        bytes32 y;
        uint256 deadline;
        bytes signature;
    }

    /// @notice An owner's account.
    /// @param stake R1 in wei held for the owner, locked part included.
    /// @param locked Part of `stake` that answers for open disputes and epochs that are not final.
    /// @param exitAt Second at which an exiting node may withdraw; 0 while it stays.
    /// @param workers Number of workers bound now.
    /// @param debt R1 in wei that slashes found missing; what the owner puts in pays it first. Who has a debt has no stake.
    struct Node {
        uint96 stake;
        uint96 locked;
        uint40 exitAt;
        uint24 workers;
        uint96 debt;
    }

    /// @notice A worker's account. The owner stays on record after unbinding, to answer for past work.
    /// @param owner The last owner.
    /// @param nonce Counts bindings, so that no signature serves twice.
    /// @param unboundAt Second at which it was unbound; 0 while it is bound.
    struct Worker {
        address owner;
        uint40 nonce;
        uint40 unboundAt;
    }

    /// @notice A new owner put in a stake.
    event NodeRegistered(address indexed owner, uint256 stake);
    /// @notice An owner added to the stake.
    event StakeAdded(address indexed owner, uint256 amount, uint256 stake);
    /// @notice A worker acts for an owner from now on. `peerId` is its libp2p peer id as bytes.
    event WorkerBound(address indexed owner, address indexed worker, bytes peerId);
    /// @notice A worker no longer acts for its owner.
    event WorkerUnbound(address indexed owner, address indexed worker);
    /// @notice An owner leaves; the stake may be withdrawn from `exitAt` on.
    event NodeDeactivated(address indexed owner, uint256 exitAt);
    /// @notice An owner that was leaving stays.
    event NodeReactivated(address indexed owner);
    /// @notice Stake went back to its owner.
    event StakeWithdrawn(address indexed owner, uint256 amount);
    /// @notice Stake now answers for a dispute or an epoch.
    event StakeLocked(address indexed owner, uint256 amount);
    /// @notice Stake no longer answers for a dispute or an epoch.
    event StakeUnlocked(address indexed owner, uint256 amount);
    /// @notice What an owner still owes after a slash or a payment.
    event DebtChanged(address indexed owner, uint256 debt);
    /// @notice Stake was taken: `bounty` to the beneficiary, the rest burned.
    event StakeSlashed(address indexed owner, address indexed beneficiary, uint256 bounty, uint256 burned);
    /// @notice The parameters changed.
    event ParametersChanged(uint256 minStake, uint256 unbondingDelay);

    /// @notice The caller already has a stake here; use addStake.
    error AlreadyRegistered(address owner);
    /// @notice The account has no stake here.
    error NotRegistered(address owner);
    /// @notice The stake is below the minimum.
    error StakeTooSmall(uint256 stake, uint256 minimum);
    /// @notice The amount does not fit in 96 bits.
    error StakeTooLarge(uint256 amount);
    /// @notice The worker's signature came after its deadline.
    error ProofExpired(uint256 deadline);
    /// @notice The signature was not made by the key (x, y) over this owner and nonce.
    error WrongWorkerSignature(address expected, address recovered);
    /// @notice The worker acts for an owner already.
    error WorkerTaken(address worker, address owner);
    /// @notice The worker left another owner too recently, and may still have to answer for work done there.
    error WorkerCoolingDown(address worker, uint256 until);
    /// @notice Only the worker's owner may do this.
    error NotWorkerOwner(address worker, address caller);
    /// @notice The node is already leaving.
    error AlreadyExiting(address owner);
    /// @notice The node is not leaving; deactivate first.
    error NotExiting(address owner);
    /// @notice The unbonding delay is not over.
    error StillUnbonding(uint256 exitAt);
    /// @notice Stake answers for open disputes or for epochs that are not final: nobody leaves before they end.
    error StakeIsLocked(address owner, uint256 locked);
    /// @notice Votes are known only for times that have passed.
    error FutureLookup(uint256 timepoint);
    /// @notice A bounty above half would make it pay to accuse oneself.
    error BountyTooLarge(uint256 bounty, uint256 amount);
    /// @notice The parameter lies outside its bounds.
    error ParameterOutOfBounds();

    /// @notice Puts in a stake and becomes an active node. A debt is paid (burned) first.
    /// @param stake R1 in wei, taken from the caller by allowance; after the debt, at least the minimum.
    function register(uint256 stake) external;

    /// @notice Makes another account an active node, with a stake that is the caller's gift: a treasury equips settlers.
    /// @param owner Whose stake it is from then on.
    /// @param stake R1 in wei, taken from the caller by allowance; after the owner's debt, at least the minimum.
    function registerFor(address owner, uint256 stake) external;

    /// @notice Puts in a stake and binds the first worker, in one call.
    /// @param stake R1 in wei, taken from the caller by allowance; at least the minimum.
    /// @param proof The worker's proof of possession.
    function registerWithWorker(uint256 stake, WorkerProof calldata proof) external;

    /// @notice Adds to the caller's stake. A debt is paid (burned) first.
    /// @param amount R1 in wei, taken from the caller by allowance.
    function addStake(uint256 amount) external;

    /// @notice Binds a worker to the caller.
    /// @param proof The worker's proof of possession; nobody can bind a key he does not hold.
    function bindWorker(WorkerProof calldata proof) external;

    /// @notice Ends a worker's binding to the caller. The caller answers for its past work still.
    /// @param worker The worker's address.
    function unbindWorker(address worker) external;

    /// @notice Starts to leave: inactive at once, the stake free after the unbonding delay.
    function deactivate() external;

    /// @notice Stays after all: undoes deactivate.
    function reactivate() external;

    /// @notice Pays the caller's stake back, after the unbonding delay and once none of it is locked.
    /// @return amount R1 in wei paid.
    function withdraw() external returns (uint256 amount);

    /// @notice Makes stake answer for a dispute or an epoch. Only for a slasher. An owner that is leaving waits a whole
    /// unbonding delay from now on.
    /// @param owner Whose stake.
    /// @param amount Wanted R1 in wei.
    /// @return locked What could be locked: `amount`, or all that was free if that is less. Undo exactly this much.
    function lock(address owner, uint256 amount) external returns (uint256 locked);

    /// @notice Undoes a lock, also if a slash has taken what it held. Only for a slasher.
    /// @param owner Whose stake.
    /// @param amount What {lock} returned; with more than is locked all of it is freed.
    function unlock(address owner, uint256 amount) external;

    /// @notice Takes stake, locked or not; what is missing becomes the owner's debt. Locks stay: who made them undoes
    /// them, before or after. Only for a slasher.
    /// @param owner Whose stake.
    /// @param amount R1 in wei to take.
    /// @param beneficiary Receives the bounty.
    /// @param bounty R1 in wei, at most half of `amount`. At least half of what is taken is burned.
    /// @return paid What the beneficiary got: `bounty`, or half of what there was to take if that is less.
    function slash(address owner, uint256 amount, address beneficiary, uint256 bounty) external returns (uint256 paid);

    /// @notice Sets the parameters. Only for the timelock.
    /// @param newMinStake R1 in wei; above 0.
    /// @param newUnbondingDelay Seconds; at most 60 days.
    function setParameters(uint256 newMinStake, uint256 newUnbondingDelay) external;

    /// @notice Whether the owner has at least the minimum stake, no debt, and is not leaving.
    function isActive(address owner) external view returns (bool);

    /// @notice The owner that a worker acts for now; zero if none.
    function ownerOf(address worker) external view returns (address);

    /// @notice The owner that answers for a worker's work, unbound or not; zero if it never was bound.
    function accountableFor(address worker) external view returns (address);

    /// @notice The owner's account.
    function nodeOf(address owner) external view returns (Node memory);

    /// @notice The stake that an owner had at a past second: his votes, besides those of the R1 that he holds.
    /// @dev Staked R1 lies here undelegated, so nothing votes twice. These votes cannot be delegated.
    function getPastVotes(address owner, uint256 timepoint) external view returns (uint256);

    /// @notice The worker's account.
    function workerOf(address worker) external view returns (Worker memory);

    /// @notice The smallest stake of an active node, R1 in wei.
    function minStake() external view returns (uint256);

    /// @notice Seconds between deactivate and withdraw.
    function unbondingDelay() external view returns (uint256);

    /// @notice The digest that a worker key signs to be bound to `owner` with its present nonce.
    function bindingDigest(address owner, address worker, uint256 deadline) external view returns (bytes32);
}
