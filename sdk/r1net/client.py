"""The client of a task submitter: fund a job, follow it, verify what it made.

import r1net

client = r1net.Client("http://127.0.0.1:8420", key_file="wallet.json", password_file="password")
run = client.train(model="SmolLM2-135M-Instruct", environment="reasoning_gym:chain_sum", rounds=30,
                   budget=100 * r1net.R1)
for step in run.follow():
    print(step.round, step.metrics["reward"])
run.download("out")
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack, overload

from r1net.errors import KeyFileError, PreflightError, ProtocolError, UsageError
from r1net.jobs import Composed, JobArguments, compose
from r1net.jobs.bought import sample_job
from r1net.jobs.estimate import Estimate, estimate
from r1net.jobs.given import whole
from r1net.jobs.sample import GROUPS, take_sample
from r1net.jobs.signal import Signal
from r1net.local_files import LocalFiles
from r1net.protocol.job import JobSpec, JobView
from r1net.protocol.settlement import TraceProof
from r1net.protocol.views import NetworkInfo, TraceView
from r1net.runs import Run
from r1net.showing import at_a_terminal
from r1net.submission import Submission
from r1net.transport import Transport
from r1net.urls import is_loopback, require_tls

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from r1net.chain import Chain, Deployment
    from r1net.chain.provenance import TraceStatus
    from r1net.protocol.signing import Domain

_PAGE = 100


class Client:
    """A connection to one network. Reading needs no key; `train` signs with `account` or `key_file`.

    Beyond loopback the chain is used only with an endpoint of your own (`rpc_url`) and a `deployment`: the operator's
    file, or a file that `r1node trust` wrote. What the coordinator names must be the same.

    `say` hears what a long call is at; unless you set another, it is told at a terminal and nowhere else.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8420",
        *,
        account: LocalAccount | None = None,
        key_file: Path | str | None = None,
        password_file: Path | str | None = None,
        rpc_url: str | None = None,
        deployment: Deployment | Path | str | None = None,
        allow_plain_http: bool = False,
    ) -> None:
        self.transport = Transport(url, allow_plain_http=allow_plain_http)
        if rpc_url is not None:
            require_tls(rpc_url, allow_plain_http)
        self._deployment = deployment
        self._account = account
        self._key_file = Path(key_file) if key_file else None
        self._password_file = Path(password_file) if password_file else None
        self._rpc_url = rpc_url
        self.files = LocalFiles()
        self.say: Callable[[str], None] = at_a_terminal

    def close(self) -> None:
        """Close the connections; also done by leaving `with Client(…)`."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @cached_property
    def network(self) -> NetworkInfo:
        """The network's chain and contracts, as the coordinator names them."""
        return self.transport.get("/v1/network", NetworkInfo)

    def is_r1(self, token: str) -> bool:
        """Whether a token is the network's own, as the coordinator names it: for the words of amounts alone."""
        return self.network.contracts.get("R1Token", "").lower() == token.lower()

    @cached_property
    def deployment(self) -> Deployment:
        """The network's contracts, as the submitter knows them; for a coordinator on this machine, as it names them.

        Raises PreflightError when there is nothing to know them by, or the coordinator names others.
        """
        from r1net.chain import Deployment  # noqa: PLC0415
        from r1net.chain.trust import named, require_same  # noqa: PLC0415

        known = self._deployment
        if known is None:
            if not is_loopback(self.transport.url):
                raise PreflightError(
                    "nothing vouches for the contracts that this coordinator names",
                    hint="pass deployment=, the operator's file or one that `r1node trust` wrote",
                )
            return named(self.network)
        source = "the deployment given" if isinstance(known, Deployment) else str(known)
        found = known if isinstance(known, Deployment) else Deployment.load(Path(known).expanduser())
        require_same(found, self.network, source)
        return found

    @cached_property
    def chain(self) -> Chain:
        """The chain, its contracts' code checked; loads web3 at the first use. Raises PreflightError, ChainError."""
        from r1net.chain import Chain  # noqa: PLC0415 - most uses of a client never touch the chain
        from r1net.chain.trust import check_code  # noqa: PLC0415

        rpc_url = self._rpc_url or (self.network.rpc_url if is_loopback(self.transport.url) else None)
        if rpc_url is None:
            raise PreflightError("there is no chain endpoint of your own", hint="pass rpc_url=")
        chain = Chain.connect(rpc_url, self.deployment, self._signer())
        check_code(chain)
        return chain

    @overload
    def train(self, *, dry_run: Literal[True], **job: Unpack[JobArguments]) -> Estimate: ...

    @overload
    def train(self, *, dry_run: Literal[False] = False, **job: Unpack[JobArguments]) -> Run: ...

    def train(self, *, dry_run: bool = False, **job: Unpack[JobArguments]) -> Run | Estimate:
        """Fund and submit a GRPO job (see `r1net.jobs.JobArguments`); returns at once with its Run.

        With `dry_run` nothing is paid and nobody is told: see `estimate`.
        Raises UsageError on a bad specification (before anything is paid), ChainError, Refused.
        """
        if dry_run:
            return self.estimate(**job)
        composed = self.compose(**job)
        weak = bool(job.get("accept_weak_verifier"))
        return self.submit(composed.spec, composed.folder, accept_weak_verifier=weak)

    def estimate(
        self,
        *,
        sample: int = GROUPS,
        buy: bool = False,
        **job: Unpack[JobArguments],
    ) -> Estimate:
        """What a job would come to: tokens, price, time at the network's present speed, what there is to say of its
        data, and the signal: what the model's own completions on `sample` groups earn, computed on this machine where a
        node is installed (0 leaves that out). Nothing is paid, unless you `buy` the sample: then it is a small job of
        its own, at the job's prices.

        Raises UsageError where `train` would, NoSample, RunFailed.
        """
        composed = self.compose(**job)
        weak, sample = bool(job.get("accept_weak_verifier")), whole("sample", sample)
        r1 = job.get("token") is None
        if buy:
            return estimate(composed, self.transport, self._bought(composed, sample, weak), r1)
        self._submission.check(composed.spec, composed.folder, weak)
        signal = take_sample(composed.spec, composed.folder, self.files.root, sample, self.say) if sample else None
        return estimate(composed, self.transport, signal, r1)

    def _bought(self, composed: Composed, groups: int, weak: bool) -> Signal:
        run = self.submit(sample_job(composed.spec, groups), composed.folder, accept_weak_verifier=weak)
        self.say(f"the sample is job {run.job_id}")
        run.wait()
        return run.signal()

    def compose(self, **job: Unpack[JobArguments]) -> Composed:
        """The specification of a job and what there is to say of its data; nothing is paid, nobody is told."""
        account = self._require_signer()
        self.say("reading the model and its data")
        return compose(job, account.address, lambda: self.deployment.address("R1Token"), self.files)

    def submit(
        self,
        spec: JobSpec,
        folder: Path,
        *,
        accept_weak_verifier: bool = False,
    ) -> Run:
        """Check a specification here and with the coordinator, fund it on chain, announce it, upload the files that are
        missing. Its verifiers are tried on 64 of its problems (`r1net.probe`) unless `accept_weak_verifier`.

        The same again after an interruption goes on with the same job. Raises UsageError and Refused before anything is
        paid; NotAnnounced, JobRefused (its escrow is closed then), ChainError.
        """
        view = self._submission.submit(spec, folder, accept_weak_verifier)
        return Run(self, view.job_id, view)

    def announce(self, job_id: str, spec: JobSpec | None = None, folder: Path | None = None) -> Run:
        """Tell the coordinator of a job that is funded, and upload the files that are missing. May be repeated. Of jobs
        that this machine has funded, the id is enough.

        Raises NotAnnounced, JobRefused, and UsageError where the id alone says nothing.
        """
        draft = self._submission.pending.of(job_id) if spec is None or folder is None else None
        if draft is not None:
            spec, folder = spec or draft.spec, folder or Path(draft.folder)
        if spec is None or folder is None:
            raise UsageError(
                f"nothing on this machine waits to be announced as {job_id}",
                hint="see `r1net jobs`: it may be announced already; else pass spec= and folder=",
            )
        return Run(self, job_id, self._submission.announce(job_id, spec, folder))

    @cached_property
    def _submission(self) -> Submission:
        return Submission(self)

    def run(self, job_id: str) -> Run:
        """An existing job."""
        return Run(self, job_id)

    def runs(self) -> list[Run]:
        """Every job of the network."""
        return [Run(self, view.job_id, view) for view in self.transport.walk("/v1/jobs", JobView, _PAGE)]

    def verify(self, trace: TraceView, proof: TraceProof) -> TraceStatus:
        """How a trace stands on chain: ask the answer whether it `stands`. The digest is computed here; raises
        ProtocolError if it differs."""
        digest = trace.trace.digest()
        if digest != trace.trace_digest or digest != proof.trace_digest:
            raise ProtocolError(f"the trace's content hashes to {digest}, not to {trace.trace_digest}")
        worker = trace.trace.worker
        return self.chain.provenance.trace_status(proof.job_id, proof.epoch, digest, worker, proof.proof)

    def sign(self, kind: str, values: dict[str, Any]) -> str:
        """The submitter's signature under a typed message for this network (EIP-712)."""
        return self._domain.sign(self._require_signer(), kind, values)

    @property
    def _domain(self) -> Domain:
        from r1net.protocol.signing import Domain  # noqa: PLC0415 - loads eth_account

        return Domain(self.deployment.chain_id, self.deployment.address("NodeRegistry"))

    @property
    def address(self) -> str:
        """The account that pays. Raises UsageError where there is none."""
        return str(self._require_signer().address)

    def _signer(self) -> LocalAccount | None:
        if self._account is None and self._key_file is not None:
            from r1net.chain.keystore import load_keystore, read_password  # noqa: PLC0415

            if self._password_file is None:
                raise KeyFileError("key_file needs a password", hint="pass password_file=")
            self._account = load_keystore(self._key_file, read_password(self._password_file))
        return self._account

    def _require_signer(self) -> LocalAccount:
        account = self._signer()
        if account is None:
            raise UsageError("funding a job needs an account", hint="pass key_file= and password_file=, or account=")
        return account
