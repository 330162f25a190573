// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title IDisputes
/// @notice Bonded challenges to a line of an epoch or to a trace, judged by drawn committees of staked verifiers.
/// @dev Open (the accused must answer) -> Drawing (a block's hash picks the seats) -> Voting (commit, then reveal) ->
/// Decided (the loser may appeal, twice at most, to ever larger committees of other jurors) -> Resolved. Every step has
/// a deadline on the settlement's clock, and anyone may take the step that follows it.
/// - No answer: guilty.
/// - A verdict needs reveals for more than half of the seats, and a majority among them. Without one, another committee
///   is drawn, once in a dispute. If that fails too, or if nobody is left to be drawn, the dispute ends undecided:
///   neither party loses anything; a line is rejected, since its work can be proposed anew and a theft cannot be
///   undone; a trace may be challenged again.
/// - Jurors who did not vote as the last committee found lose their stake, seat by seat and over all rounds; half of it
///   goes to those who did. The loser pays each coherent seat a fee which is the same for both verdicts. Half of every
///   slash is burned, so that accusing oneself loses.
/// - Bonds are locked stake in the registry. Of the accused one wei is locked, which keeps all of his stake from being
///   withdrawn: accusations, however many, take from him neither his appeals nor what others could win. What he owes
///   beyond his stake when he loses is a debt in the registry.
interface IDisputes {
    /// @notice Where a dispute stands.
    enum Phase {
        None,
        Open,
        Drawing,
        Voting,
        Decided,
        Resolved
    }

    /// @notice What a juror says, and what a committee finds.
    enum Verdict {
        None,
        Guilty,
        Innocent
    }

    /// @notice The parameters.
    /// @param bond R1 in wei that the challenger locks; twice and four times as much for the two appeals.
    /// @param penalty R1 in wei that the accused owes if he is guilty; not less than the bond.
    /// @param jurorStake R1 in wei for each seat that a juror loses if he is not with the verdict, or silent. Those of a
    /// first committee's minority together are at most a bond.
    /// @param jurorFee R1 in wei for each coherent seat; half the bond must cover those of all rounds.
    /// @param answerPeriod Seconds to answer.
    /// @param commitPeriod Seconds to commit votes.
    /// @param revealPeriod Seconds to reveal them.
    /// @param appealPeriod Seconds to appeal.
    /// @param committeeSize Seats n of the first round, odd; the appeals have 2n + 1 and 4n + 3, up to MAX_SEATS.
    struct Parameters {
        uint96 bond;
        uint96 penalty;
        uint96 jurorStake;
        uint96 jurorFee;
        uint32 answerPeriod;
        uint32 commitPeriod;
        uint32 revealPeriod;
        uint32 appealPeriod;
        uint8 committeeSize;
    }

    /// @notice A dispute.
    /// @param challenger Who accuses.
    /// @param deadline End of the present step: to answer, to commit, or to appeal.
    /// @param phase See Phase.
    /// @param verdict What the last committee with a majority found.
    /// @param round Number of the present committee, from 0; every draw after the first adds one.
    /// @param appeals How often the verdict was appealed.
    /// @param redrawn Whether a committee without a majority was replaced.
    /// @param accused Who answers: an epoch's proposer, or the owner of the worker that signed a trace.
    /// @param bond Challenger's stake locked here, lost if the accused is innocent.
    /// @param atRisk What the accused owes if he is guilty.
    /// @param epoch The line's epoch, or 0 for a trace.
    /// @param line The line.
    /// @param drawBlock The block whose hash picks the committee.
    /// @param revealUntil End of the reveals.
    struct Dispute {
        address challenger;
        uint40 deadline;
        Phase phase;
        Verdict verdict;
        uint8 round;
        uint8 appeals;
        bool redrawn;
        address accused;
        uint96 bond;
        uint96 atRisk;
        uint32 epoch;
        uint8 line;
        uint48 drawBlock;
        uint40 revealUntil;
    }

    /// @notice A juror's part in one round.
    /// @param commitment keccak256(abi.encode(disputeId, round, juror, vote, salt)).
    /// @param locked His stake locked here: as much of `atRisk` as was free.
    /// @param atRisk What he loses if he is not with the verdict, for all his seats.
    /// @param seats His seats: votes that he casts as one.
    /// @param vote What he revealed.
    struct Ballot {
        bytes32 commitment;
        uint96 locked;
        uint96 atRisk;
        uint8 seats;
        Verdict vote;
    }

    /// @notice What the court knows of a subject: a line, keccak256(abi.encode(epoch, line)), or a trace of a worker.
    /// @param open Number of its open disputes; one at most for a trace.
    /// @param acquittals How often it was found right. Each doubles the bond of the next dispute, up to 16 times.
    /// @param convicted Whether it was found wrong. That is final.
    struct Docket {
        uint32 open;
        uint32 acquittals;
        bool convicted;
    }

    /// @notice A worker's signed submission: EIP-712 Submission(string lease,bytes32 tracesRoot,uint256 count) in the
    /// protocol's domain ("r1net", "1", chain, registry).
    /// @param lease The lease that it answers.
    /// @param tracesRoot Root of the StandardMerkleTree over (bytes32 traceDigest).
    /// @param count Number of traces.
    /// @param signature The worker's signature.
    struct Submission {
        string lease;
        bytes32 tracesRoot;
        uint256 count;
        bytes signature;
    }

    /// @notice A dispute was opened. `subject` is the commitment of the line's epoch, or a trace's digest (epoch 0).
    event DisputeOpened(
        uint256 indexed disputeId,
        address indexed challenger,
        address indexed accused,
        uint256 epoch,
        uint256 line,
        bytes32 subject,
        bytes32 evidence
    );
    /// @notice The accused answered.
    event DisputeAnswered(uint256 indexed disputeId, bytes32 answer, uint256 drawBlock);
    /// @notice A committee was drawn: its jurors, and how many seats each has.
    event CommitteeDrawn(
        uint256 indexed disputeId,
        uint256 round,
        address[] committee,
        uint256[] seats,
        uint256 commitUntil,
        uint256 revealUntil
    );
    /// @notice A committee had no majority; another is drawn.
    event CommitteeRedrawn(uint256 indexed disputeId, uint256 drawBlock);
    /// @notice A juror committed a vote.
    event VoteCommitted(uint256 indexed disputeId, address indexed juror);
    /// @notice A juror revealed a vote.
    event VoteRevealed(uint256 indexed disputeId, address indexed juror, Verdict vote);
    /// @notice A committee decided.
    event DisputeDecided(uint256 indexed disputeId, Verdict verdict, uint256 appealUntil);
    /// @notice The loser appealed.
    event DisputeAppealed(uint256 indexed disputeId, address indexed appellant, uint256 drawBlock);
    /// @notice A dispute is over. `verdict` None: it is undecided. `slashed` is what the loser owes.
    event DisputeResolved(uint256 indexed disputeId, Verdict verdict, uint256 slashed);
    /// @notice The parameters changed, for steps that begin from now on.
    event ParametersChanged(Parameters parameters);

    /// @notice Only active nodes may challenge.
    error ChallengerNotActive(address challenger);
    /// @notice The free stake does not cover the bond.
    error BondNotCovered(address owner, uint256 bond, uint256 free);
    /// @notice One cannot accuse oneself.
    error SelfAccusation(address owner);
    /// @notice The submission was signed by nobody that the registry knows.
    error UnknownWorker(address worker);
    /// @notice The trace is not in the submission.
    error TraceNotInSubmission(bytes32 traceDigest);
    /// @notice A dispute over the trace, or over the line with this evidence, is open.
    error AlreadyOpen(bytes32 subject);
    /// @notice The subject was found wrong; nothing is left to judge.
    error AlreadyConvicted(bytes32 subject);
    /// @notice The subject was found right in spite of this evidence: only another one opens the case again.
    error EvidenceHeard(bytes32 subject, bytes32 evidence);
    /// @notice The dispute is not in the phase that this needs.
    error WrongPhase(uint256 disputeId, Phase phase);
    /// @notice Only this party may do this now.
    error NotParty(uint256 disputeId, address caller);
    /// @notice It is too late for this.
    error TooLate(uint256 deadline);
    /// @notice It is too early for this.
    error TooEarly(uint256 since);
    /// @notice The caller is not on the committee.
    error NotJuror(uint256 disputeId, address caller);
    /// @notice The juror has committed or revealed already.
    error AlreadyVoted(uint256 disputeId, address juror);
    /// @notice A vote is Guilty or Innocent.
    error InvalidVote();
    /// @notice Vote and salt are not what was committed.
    error WrongReveal(uint256 disputeId, address juror);
    /// @notice The parameters lie outside their bounds.
    error ParameterOutOfBounds();

    /// @notice Challenges a pending line and freezes it, and no other.
    /// @param epoch Number of the epoch.
    /// @param line Number of the line.
    /// @param evidence Digest of what is wrong with it.
    /// @return disputeId Number of the dispute.
    function challengeLine(uint256 epoch, uint256 line, bytes32 evidence) external returns (uint256 disputeId);

    /// @notice Challenges a trace; its worker's signature tells who answers for it. The same trace in another submission
    /// of that worker is the same case.
    /// @param submission The signed submission.
    /// @param traceDigest The trace.
    /// @param proof Merkle proof of the trace in the submission.
    /// @param evidence Digest of what is wrong with it.
    /// @return disputeId Number of the dispute.
    function challengeTrace(
        Submission calldata submission,
        bytes32 traceDigest,
        bytes32[] calldata proof,
        bytes32 evidence
    ) external returns (uint256 disputeId);

    /// @notice The accused answers, which calls for a committee.
    /// @param disputeId The dispute.
    /// @param reply Digest of the answer.
    function answer(uint256 disputeId, bytes32 reply) external;

    /// @notice Draws the committee, once its block is mined. Anyone may call. The pool counts as it was IVerifierPool.DRAW_DELAY
    /// blocks
    /// before that block. If nobody drew while the block's hash was known, a block a whole span later counts, see
    /// PastBlocks.
    /// @param disputeId The dispute.
    function draw(uint256 disputeId) external;

    /// @notice A juror commits to a vote.
    /// @param disputeId The dispute.
    /// @param commitment keccak256(abi.encode(disputeId, round, juror, vote, salt)).
    function commit(uint256 disputeId, bytes32 commitment) external;

    /// @notice A juror reveals his vote.
    /// @param disputeId The dispute.
    /// @param vote Guilty or Innocent.
    /// @param salt As committed.
    function reveal(uint256 disputeId, Verdict vote, bytes32 salt) external;

    /// @notice Counts the votes after the reveals. Anyone may call.
    /// @param disputeId The dispute.
    function tally(uint256 disputeId) external;

    /// @notice The loser asks for a larger committee, of jurors who did not judge here yet. A challenger must cover the
    /// appeal's bond; an accused always may, and owes it if he loses.
    /// @param disputeId The dispute.
    function appeal(uint256 disputeId) external;

    /// @notice Ends a dispute whose answer or appeal did not come in time. Anyone may call.
    /// @param disputeId The dispute.
    function resolve(uint256 disputeId) external;

    /// @notice Sets the parameters. Only for the timelock.
    /// @param given See Parameters.
    function setParameters(Parameters calldata given) external;

    /// @notice The parameters.
    function parameters() external view returns (Parameters memory);

    /// @notice A dispute.
    function disputeOf(uint256 disputeId) external view returns (Dispute memory);

    /// @notice The committee of a round.
    function committeeOf(uint256 disputeId, uint256 round) external view returns (address[] memory);

    /// @notice A juror's part in a round.
    function ballotOf(uint256 disputeId, uint256 round, address juror) external view returns (Ballot memory);

    /// @notice Number of disputes so far; the newest has this number.
    function disputeCount() external view returns (uint256);

    /// @notice What the court knows of a line.
    function lineDocket(uint256 epoch, uint256 line) external view returns (Docket memory);

    /// @notice What the court knows of a worker's trace. A trace names its worker; under another's name it is another
    /// case, so that nobody can taint a trace by signing for it and being convicted.
    function traceDocket(address worker, bytes32 traceDigest) external view returns (Docket memory);

    /// @notice What a juror commits to.
    function commitmentOf(uint256 disputeId, uint256 round, address juror, Verdict vote, bytes32 salt)
        external
        pure
        returns (bytes32);
}
