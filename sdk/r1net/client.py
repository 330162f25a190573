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

import math
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from r1net.errors import KeyFileError, PreflightError, ProtocolError, R1Error, Refused, Unreachable, UsageError
from r1net.models import describe_model, own_precision, render_prompt, stop_tokens
from r1net.own import Rewards, kept_path, reward_specs
from r1net.probe import check_job
from r1net.protocol.job import (
    EnvironmentSpec,
    Evaluation,
    Grpo,
    JobSpec,
    JobView,
    Lora,
    Optimizer,
    Precision,
    Prices,
    Sampling,
    SubmitJob,
    Verification,
)
from r1net.protocol.settlement import TraceProof
from r1net.protocol.upload import UPLOAD_HEADER, UPLOAD_LIFETIME, SignedUpload, Upload
from r1net.protocol.views import NetworkInfo, TraceView
from r1net.runs import Run
from r1net.templates import check_prompt
from r1net.tokens import check_stops
from r1net.transport import Transport
from r1net.urls import is_loopback, require_tls

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from r1net.chain import Chain, Deployment
    from r1net.chain.provenance import TraceStatus

_PAGE = 100

R1 = 10**18
"""One whole R1, in wei."""


class NotAnnounced(R1Error):
    """A job's money is in the escrow, but the coordinator did not take the job (now). Nothing is lost: `announce` it
    again with `job_id` and `spec`, or get the money back with `client.chain.escrow.close(job_id)`."""

    code = "not_announced"

    def __init__(self, job_id: str, spec: JobSpec, error: R1Error) -> None:
        super().__init__(
            f"job {job_id} is funded, but not announced: {error.message}",
            hint="client.announce(error.job_id, error.spec, folder) tries again; escrow.close(job_id) gives it up",
        )
        self.job_id, self.spec = job_id, spec


class Client:
    """A connection to one network. Reading needs no key; `train` signs with `account` or `key_file`.

    Beyond loopback the chain is used only with an endpoint of your own (`rpc_url`) and a `deployment`: the operator's
    file, or a file that `r1node trust` wrote. What the coordinator names must be the same.
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

    def train(  # noqa: PLR0913 - keyword-only, each a knob of the job
        self,
        *,
        model: Path | str,
        environment: str,
        rounds: int,
        budget: int,
        environment_config: Mapping[str, Any] | None = None,
        reward: Rewards = "correct",
        system_prompt: str | None = None,
        prefill: str = "",
        prompt: str | None = None,
        stop_token_ids: Sequence[int] | None = None,
        group_size: int = 8,
        groups_per_round: int = 16,
        grpo: Mapping[str, Any] | None = None,
        sampling: Sampling | None = None,
        optimizer: Optimizer | None = None,
        lora: Lora | None = None,
        dtype: Precision | None = None,
        evaluation: Evaluation | None = None,
        verification: Verification | None = None,
        prices: Prices | None = None,
        name: str | None = None,
        token: str | None = None,
        seed: int = 0,
        epoch_rounds: int = 1_000_000,
        accept_weak_verifier: bool = False,
    ) -> Run:
        """Fund and submit a GRPO job; returns at once with its Run.

        `model` is a local folder in Hugging Face layout, `budget` is in wei of `token` (default: R1) and goes into the
        job's escrow. Without `prices` the budget is spread over the most tokens that the job can come to. `dtype` is
        the precision of every version's weights; without it, that of the model's own: bfloat16 where they have 16 bits.
        `grpo` takes further settings of the stage (`r1net.protocol.job.Grpo`), such as
        `{"loss": "gspo", "dynamic_sampling": 3}`.
        The prompt is the model's chat template as transformers renders it now, around one question, with
        `system_prompt` and `prefill`; or `prompt`, which is taken as it is. A completion ends at any end-of-sequence
        token that the model's files name; or at `stop_token_ids`.
        `reward` is the name of a registered reward, a function of your own as TRL calls them, or the file that has it,
        or several with their weights. The function's whole file travels, with the wheels of what its PEP 723 header
        names, and is run in sandboxes alone, first here: it must give the same mark for the same answer every time.
        `verification` says how much of the hosts' work other hosts replay before it is trained on and paid.
        Before anything is paid, the job's verifiers are tried on 64 of its problems: the reference answer must earn
        all, an empty answer and nonsense next to nothing, unless you `accept_weak_verifier`.
        Raises UsageError on a bad specification (before anything is paid), ChainError, Refused.
        """
        folder = Path(model).expanduser()
        account = self._require_signer()
        stage = _stage(rounds=rounds, group_size=group_size, groups_per_round=groups_per_round, **(grpo or {}))
        sampling, evaluation = sampling or Sampling(), evaluation or Evaluation()
        verification = verification or Verification()
        spec = JobSpec(
            name=name or f"{folder.name} on {environment}",
            submitter=account.address,
            model=describe_model(folder),
            environment=EnvironmentSpec(name=environment, config=dict(environment_config or {})),
            rewards=reward_specs(reward),
            prompt=check_prompt(prompt) if prompt else render_prompt(folder, system_prompt, prefill),
            stop_token_ids=check_stops(folder, stop_token_ids) if stop_token_ids else stop_tokens(folder),
            stage=stage,
            sampling=sampling,
            optimizer=optimizer or Optimizer(),
            lora=lora,
            dtype=dtype or own_precision(folder),
            evaluation=evaluation,
            verification=verification,
            prices=prices or spread(budget, stage, sampling, evaluation, verification),
            payment_token=token or self.deployment.address("R1Token"),
            budget=budget,
            epoch_rounds=epoch_rounds,
            seed=seed,
        )
        return self.submit(spec, folder, accept_weak_verifier=accept_weak_verifier)

    def submit(self, spec: JobSpec, folder: Path, *, accept_weak_verifier: bool = False) -> Run:
        """Check a specification here, fund it on chain, announce it, upload the model files that are missing.

        Its verifiers are tried on 64 of its problems (`r1net.probe`) unless `accept_weak_verifier`.
        """
        check_job(spec, folder, accept_weak_verifier)
        job_id = self.chain.escrow.create_job(spec.payment_token, spec.budget, spec.budget, spec.digest())
        try:
            return self.announce(job_id, spec, folder)
        except (Unreachable, Refused) as error:
            raise NotAnnounced(job_id, spec, error) from error

    def announce(self, job_id: str, spec: JobSpec, folder: Path) -> Run:
        """Tell the coordinator of a job that is funded, and upload the files that are missing. May be repeated.

        Raises Refused, Unreachable (Busy while there is no room).
        """
        view = self.transport.post("/v1/jobs", SubmitJob(job_id=job_id, spec=spec), JobView)
        model = {ref.sha256: folder / name for name, ref in spec.model.files.items()}
        self._upload(view, model | {digest: kept_path(digest) for digest in view.missing_blobs if digest not in model})
        return Run(self, job_id)

    def _upload(self, view: JobView, paths: Mapping[str, Path]) -> None:
        """Send the files that are missing, each with the submitter's signature."""
        from r1net.protocol.signing import Domain, upload_values  # noqa: PLC0415 - loads eth_account

        domain = Domain(self.deployment.chain_id, self.deployment.address("NodeRegistry"))
        for digest in view.missing_blobs:
            upload = Upload(job_id=view.job_id, expires=int(time.time()) + UPLOAD_LIFETIME // 2)
            signature = domain.sign(self._require_signer(), "Upload", upload_values(upload))
            signed = SignedUpload(upload=upload, signature=signature)
            self.transport.put_blob(digest, paths[digest], {UPLOAD_HEADER: signed.model_dump_json()})

    def run(self, job_id: str) -> Run:
        """An existing job."""
        return Run(self, job_id)

    def runs(self) -> list[Run]:
        """Every job of the network."""
        return [Run(self, view.job_id) for view in self.transport.walk("/v1/jobs", JobView, _PAGE)]

    def verify(self, trace: TraceView, proof: TraceProof) -> TraceStatus:
        """How a trace stands on chain: ask the answer whether it `stands`. The digest is computed here; raises
        ProtocolError if it differs."""
        digest = trace.trace.digest()
        if digest != trace.trace_digest or digest != proof.trace_digest:
            raise ProtocolError(f"the trace's content hashes to {digest}, not to {trace.trace_digest}")
        worker = trace.trace.worker
        return self.chain.provenance.trace_status(proof.job_id, proof.epoch, digest, worker, proof.proof)

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


def _stage(**settings: Any) -> Grpo:
    try:
        return Grpo.model_validate(settings)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "stage"
        raise UsageError(f"{where}: {first['msg']}", hint=f"use one of {', '.join(Grpo.model_fields)}") from error


def spread(budget: int, stage: Grpo, sampling: Sampling, evaluation: Evaluation, verification: Verification) -> Prices:
    """Prices at which the job's largest possible number of tokens costs no more than `budget`.

    A trained token, a sampled one and a repeated one are paid alike. Dynamic sampling may draw several times what is
    trained on; held-out completions are sampled twice. Of what is sampled and trained the share that is drawn is
    repeated. More may be, because owners are new or have failed, and because what is found bad is judged twice and done
    again: a budget that is spent ends the job, and actual completions are shorter than the longest.
    """
    trained = stage.rounds * stage.groups_per_round * stage.group_size * sampling.max_tokens
    heldout = 2 * evaluation.problems * evaluation.sampling.max_tokens
    sampled = trained * stage.dynamic_sampling + heldout
    shares = ((sampled, verification.rate_of("rollout")), (trained, verification.rate_of("training")))
    checked = sum(math.ceil(tokens * share) for tokens, share in shares)
    price = budget // max(trained + sampled + checked, 1)
    return Prices(rollout_token=price, trained_token=price, verified_token=price)
