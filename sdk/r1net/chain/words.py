"""Every error of the contracts in words: one sentence, and the next step."""

from __future__ import annotations

# error name -> (what happened, what to do); {fields} are the error's own parameters
WORDS: dict[str, tuple[str, str]] = {
    # token
    "ERC20InsufficientBalance": ("the account holds {balance} wei of the token, but {needed} are needed", "get more"),
    "ERC20InsufficientAllowance": ("the allowance is {allowance} wei, but {needed} are needed", "approve the spender"),
    "ERC2612ExpiredSignature": ("the permit expired at {deadline}", "sign a new one"),
    "ERC2612InvalidSigner": ("the permit was signed by {signer}, not by {owner}", "sign with the owner's key"),
    # roles
    "AccessControlUnauthorizedAccount": (
        "{account} lacks the role for this call",
        "use the account that holds it, or have governance grant the role",
    ),
    # registry
    "AlreadyRegistered": ("{owner} has a stake already", "use add_stake, or reactivate"),
    "NotRegistered": ("{owner} has no stake", "register first"),
    "StakeTooSmall": ("a stake of {stake} wei is below the minimum of {minimum}", "stake at least the minimum"),
    "StakeTooLarge": ("{amount} wei do not fit in 96 bits", "stake less"),
    "ProofExpired": ("the worker's signature expired at {deadline}", "sign again with a later deadline"),
    "WrongWorkerSignature": (
        "the worker's signature was made by {recovered}, not by {expected}",
        "sign for this owner, chain and present nonce with the worker's key",
    ),
    "WorkerTaken": ("worker {worker} acts for {owner} already", "unbind it there first, or use a fresh worker key"),
    "WorkerCoolingDown": ("worker {worker} left another owner; it is free at {until}", "wait, or use a fresh key"),
    "NotWorkerOwner": ("{caller} is not the owner of worker {worker}", "use the owner's account"),
    "AlreadyExiting": ("{owner} is leaving already", "wait for the unbonding delay, then withdraw"),
    "NotExiting": ("{owner} is not leaving", "deactivate first"),
    "StillUnbonding": ("the stake is bound until {exitAt}", "withdraw after that"),
    "StakeIsLocked": (
        "{locked} wei of {owner}'s stake answer for open disputes or epochs that are not final",
        "withdraw once these have ended",
    ),
    "FutureLookup": ("votes at second {timepoint} are not known yet", "ask for a second that has passed"),
    # escrow
    "NotSubmitter": ("{caller} did not submit job {jobId}", "use the submitter's account"),
    "UnknownJob": ("there is no job {jobId} in this escrow", "check the id and the deployment"),
    "JobIsClosed": ("job {jobId} is closed", "create a new job"),
    "JobIsOpen": ("job {jobId} is open", "close it first"),
    "GraceNotOver": ("last settlements are possible until {refundableAt}", "ask for the refund after that"),
    "NothingToRefund": ("job {jobId} has nothing left to refund", "nothing to do"),
    "ZeroAmount": ("the amount is zero", "give an amount above zero"),
    "AmountTooLarge": ("{amount} is too large (128 bits for funds, 96 bits for the cap)", "use a smaller amount"),
    "UnsupportedToken": (
        "token {token} delivered {received} instead of {expected}",
        "use a token without transfer fees",
    ),
    "EpochCapExceeded": (
        "job {jobId}: {amount} exceeds what its cap allows now, {epochCap}",
        "settle less, or wait until the cap has refilled",
    ),
    "StillReserved": (
        "lines that are not paid hold {reserved} of job {jobId}",
        "wait until they are paid, or unwind the rejected ones",
    ),
    "InsufficientFunds": ("job {jobId}: {amount} wanted, {available} available", "top the job up, or settle less"),
    "NotReserved": ("job {jobId}: {amount} wanted, {reserved} reserved", "report this: books do not match"),
    "GasTooLow": ("too little gas was left for the token transfer", "send with a higher gas limit"),
    # settlement
    "WrongEpoch": ("epoch {epoch} was proposed, but {expected} is next", "propose {expected}"),
    "UnknownEpoch": ("epoch {epoch} was never proposed", "check the number"),
    "ZeroRoot": ("a line takes money and has no rewards root", "build the tree first"),
    "JobsNotSorted": ("jobs are not in ascending order at {jobId}", "sort by id, each job once"),
    "NoJobs": ("the epoch has no lines", "propose it with one job at least"),
    "TooManyJobs": ("{count} jobs in one epoch", "split the epoch"),
    "WrongContent": ("the content is not what was proposed as epoch {epoch}", "take it from the EpochProposed event"),
    "WrongStatus": ("line {line} of epoch {epoch} is {status}", "check its state first"),
    "LineIsNotFrozen": ("line {line} of epoch {epoch} is not disputed", "nothing to do"),
    "WindowOpen": ("the challenge window is open until {finalisableAt}", "finalise after that"),
    "NothingToPay": (
        "none of these lines of epoch {epoch} can be paid: they are paid, rejected or disputed",
        "wait until a dispute is decided, if there is one",
    ),
    "NothingToUnwind": ("no rejected line of epoch {epoch} holds a reserve", "nothing to do"),
    "PoolIsSet": ("the pool of jurors is named already", "nothing to do"),
    "SettlerSuspended": ("{settler} was convicted and may not settle", "have governance call reinstate"),
    "SettlerNotActive": ("{settler} has no active stake", "register a stake with the settler's account, or reactivate"),
    "TooFewJurors": ("too few jurors are there to judge an epoch", "have more nodes join the pool of verifiers"),
    "SettlerBondNotCovered": (
        "the epoch needs a bond of {bond} wei of R1, and only {free} of {settler}'s stake are free",
        "add to the stake, or settle less at a time",
    ),
    "IsPaused": ("the guardian has paused settlement until {until}", "try again after that"),
    "NotPaused": ("settlement is not paused", "nothing to do"),
    "PauseCoolingDown": ("the next pause is possible at {until}", "wait, or act through governance"),
    "ParameterOutOfBounds": ("the parameter is outside its bounds", "read the bounds in the contract"),
    "NotSettlement": ("only the settlement contract may do this", "go through Settlement"),
    # rewards, restitution
    "InvalidRewardProof": (
        "line of epoch {epoch} and job {jobId}: no pot pays {account} an amount of {amount} by this proof",
        "fetch a fresh proof from the coordinator; the line may not be paid yet",
    ),
    "PotExceeded": (
        "the line of epoch {epoch} and job {jobId} has {left} left, and {amount} is claimed",
        "its settler promised more than it took: nothing more is to be had from it",
    ),
    "LeafHeld": (
        "reward {index} of epoch {epoch} and job {jobId} is held: a trace of its account's is disputed",
        "claim it when the dispute has ended",
    ),
    "NotRewards": ("only the rewards contract may do this", "go through Rewards"),
    "NotRestitution": ("only the restitution contract may do this", "go through Restitution"),
    "TraceNotInLine": ("trace {traceDigest} is not in the line, or that was rejected", "check epoch, job and proof"),
    "LeafNotInLine": ("reward {index} is not in the line", "check the proof"),
    "NotAccountable": ("{account} does not answer for worker {worker}", "take the reward of the worker's owner"),
    "TraceNotAccused": ("nobody accuses trace {traceDigest}", "challenge it first"),
    "TraceNotCleared": ("trace {traceDigest} is disputed or convicted", "wait for the verdict"),
    "TraceNotConvicted": ("trace {traceDigest} is not convicted", "wait for the verdict"),
    "AlreadyHeld": ("reward {index} is held for trace {traceDigest} already", "nothing to do"),
    "NotHeld": ("reward {index} is not held for trace {traceDigest}", "nothing to do"),
    # disputes
    "ChallengerNotActive": ("{challenger} is no active node", "register with a stake first"),
    "BondNotCovered": (
        "a bond of {bond} wei exceeds the free stake of {free}",
        "add stake, or wait for other disputes",
    ),
    "SelfAccusation": ("{owner} cannot accuse itself", "use another account"),
    "UnknownWorker": (
        "{worker}, who signed the submission, is no worker of this registry",
        "check lease, root and count",
    ),
    "TraceNotInSubmission": ("trace {traceDigest} is not in the submission", "check the proof"),
    "AlreadyOpen": ("a dispute over this is open", "follow that one; a line's can be joined with other evidence"),
    "AlreadyConvicted": ("this was found wrong before", "nothing to do"),
    "EvidenceHeard": (
        "this was found right in spite of that evidence",
        "bring new evidence, or leave it",
    ),
    "NoBlockHash": ("the chain does not know the hash of block {block_}", "try again when a later block counts"),
    "WrongPhase": ("dispute {disputeId} is {phase}", "look at its state and deadline"),
    "NotParty": ("{caller} may not do this in dispute {disputeId}", "only the accused answers, only the loser appeals"),
    "TooLate": ("this was possible until {deadline}", "take the step that follows (draw, tally or resolve)"),
    "TooEarly": ("this is possible from {since} on", "wait until then"),
    "NotJuror": ("{caller} is not on the committee of dispute {disputeId}", "only drawn verifiers vote"),
    "AlreadyVoted": ("{juror} has voted in dispute {disputeId}", "nothing to do"),
    "InvalidVote": ("a vote is guilty or innocent", "choose one"),
    "WrongReveal": ("vote and salt of {juror} are not what was committed", "reveal with the salt of the commitment"),
    "NotActive": ("{owner} is no active node", "register with a stake first"),
    "AlreadyInPool": ("{owner} is a verifier already", "nothing to do"),
    "NotInPool": ("{owner} is no verifier", "nothing to do"),
    "NoFreeStake": ("{owner} has no free stake, or one too small to be drawn", "add stake, or wait for other disputes"),
    "NotReleasable": (
        "the pool holds nothing of {owner}, or still has to until block {block_}",
        "leave the pool first, then wait for that block",
    ),
    "TooHeavy": ("all weights together do not fit ({weight})", "report this: it needs more R1 than there is"),
    # fraud proofs
    "DifferentSigners": ("signed by {first} and by {second}", "both statements must be of one settler"),
    "NoContradiction": ("the statements on epoch {epoch} agree", "nothing to prove"),
    "CountedOnce": ("trace {traceDigest} was not counted twice", "check both proofs, the later epoch second"),
    "AlreadyProved": ("{settler} was punished for epoch {epoch} before", "nothing to do"),
    # governance
    "GovernorInsufficientProposerVotes": (
        "{proposer} has {votes} votes, {threshold} are needed to propose",
        "delegate votes (to yourself, if you hold the tokens)",
    ),
    "GovernorUnexpectedProposalState": ("the proposal is not in the state that this needs", "look at its state"),
    "GovernorAlreadyCastVote": ("{voter} has voted", "nothing to do"),
    "GovernorNonexistentProposal": ("there is no proposal {proposalId}", "check targets, data and description"),
    "TimelockUnexpectedOperationState": ("the timelock's delay is not over", "execute later"),
}
