"""Nobody is believed about the network, grants hold for what they were signed for, secrets in URLs are never told."""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy.exc import SQLAlchemyError

import r1net
from r1coordinator.api.app import create_app
from r1coordinator.store.database import Database, migrate
from r1net.chain import Chain, Deployment, create_keystore
from r1net.chain.trust import named
from r1net.errors import ChainUnavailable, KeyFileError, PreflightError, R1Error, Unreachable, UsageError
from r1net.protocol.session import maddrs_digest
from r1net.protocol.views import NetworkInfo
from r1net.transport import Transport
from r1net.urls import ScrubbingFormatter
from tests.adversarial.coordinator.liar import Stage, addresses
from tests.adversarial.coordinator.served import Served
from tests.unit.coordinator.jobs import key
from tests.unit.coordinator.network import Node, World

SECRET = "S3CRET"
KEYED = f"https://user:{SECRET}@rpc.example/v3/{SECRET}?key={SECRET}"
REMOTE = "https://coordinator.example"
BIN = Path(sys.executable).parent


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.kill()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("stage"))
    yield made
    made.close()


class Gateway(http.server.BaseHTTPRequestHandler):
    """An endpoint that is no chain, or another one."""

    def do_POST(self) -> None:
        """Answer as the path asks."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answers = {
            "html": b"<html>busy</html>",
            "empty": b"",
            "list": b"[]",
            "binary": b"\xff\xfe",
            "number": json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": "zz"}).encode(),
            "error": json.dumps(
                {"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -1, "message": f"see {KEYED}"}}
            ).encode(),
            "other": json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": "0x1"}).encode(),
            "unauthorised": b"no",
        }
        kind = self.path.split("/")[1]
        body = answers[kind]
        self.send_response(401 if kind == "unauthorised" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture(scope="module")
def gateway() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://user:{SECRET}@127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def told(error: R1Error) -> str:
    """What a person, a program and a log see of an error."""
    assert error.hint, "an error names the next step"
    record = logging.LogRecord(
        "r1", logging.ERROR, __file__, 1, "failed", None, (type(error), error, error.__traceback__)
    )
    return f"{error} {error.message} {error.hint} {ScrubbingFormatter().format(record)}"


@pytest.mark.parametrize("kind", ["html", "empty", "list", "binary", "number", "error", "other", "unauthorised"])
def test_an_endpoint_that_is_no_chain_is_told_in_words_without_its_key(gateway: str, kind: str) -> None:
    with pytest.raises(R1Error) as caught:
        Chain.connect(f"{gateway}/{kind}/{SECRET}?{SECRET}", Deployment(chain_id=31337, contracts={}, block=0))
    assert caught.value.code in ("chain", ChainUnavailable.code)
    assert SECRET not in f"{caught.value} {caught.value.hint}"


def test_chains_of_other_libraries_errors_are_scrubbed_in_logs(gateway: str) -> None:
    """The exception of the HTTP library below quotes the URL; what is logged does not."""
    with pytest.raises(R1Error) as caught:
        Chain.connect(f"{gateway}/unauthorised/{SECRET}", Deployment(chain_id=31337, contracts={}, block=0))
    assert SECRET in str(caught.value.__cause__)
    assert SECRET not in told(caught.value)


@pytest.mark.parametrize("content", [None, "", "\n", b"\xff\xfe\xfd"])
def test_password_files_without_a_password(tmp_path: Path, content: str | bytes | None) -> None:
    create_keystore(tmp_path / "key", "secret", iterations=2)
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        file.chmod(0o600)
    client = r1net.Client(key_file=tmp_path / "key", password_file=file)
    with pytest.raises(KeyFileError) as caught:
        client._signer()
    assert caught.value.hint
    client.close()


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://r1:{SECRET}@127.0.0.1:1/r1?sslpassword={SECRET}",
        f"nonsense://r1:{SECRET}@host/{SECRET}",
        f"{SECRET}",
        f"postgresql://r1:a/{SECRET}@host/r1",
    ],
)
def test_database_urls_are_not_told(url: str) -> None:
    for act in (lambda: Database(url).ping(), lambda: migrate(url)):
        with pytest.raises((R1Error, SQLAlchemyError)) as caught:
            act()
        assert SECRET not in f"{caught.value} {getattr(caught.value, 'hint', '')}"


def run(*command: str | Path, folder: Path, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **environment},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_no_command_tells_a_secret(tmp_path: Path, gateway: str) -> None:
    file = tmp_path / "deployment.json"
    Deployment(chain_id=31337, contracts=addresses(1), block=0).save(file)
    create_keystore(tmp_path / "key", "secret", iterations=2)
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o600)
    keyed = f"{gateway}/other/{SECRET}"
    _, shown = run(BIN / "r1node", "config", "show", folder=tmp_path, R1_RPC_URL=keyed, R1_COORDINATOR=gateway)
    assert "rpc_url" in shown
    migrated = run(
        BIN / "r1coordinator", "migrate", "--json", "--database", f"sqlite:///r1.db?key={SECRET}", folder=tmp_path
    )
    served = run(
        BIN / "r1coordinator", "serve", "--database", f"postgresql+nothing://u:{SECRET}@h/{SECRET}",
        folder=tmp_path, R1_COORDINATOR_RPC_URL=keyed, R1_COORDINATOR_KEYSTORE="key",
        R1_COORDINATOR_PASSWORD_FILE="password",
    )  # fmt: skip
    deployed = run(
        sys.executable, "-m", "r1net.chain.deploy", "--rpc", keyed, "--key-file", "none", "--out", "out.json",
        folder=tmp_path, R1_PASSWORD="x",
    )  # fmt: skip
    assert migrated[0] == 0
    assert served[0] == 2
    assert deployed[0] == 4
    for text in (shown, migrated[1], served[1], deployed[1]):
        assert SECRET not in text


def test_only_the_public_endpoint_is_published(tmp_path: Path) -> None:
    for number, (settings, shown) in enumerate(
        (
            ({"rpc_url": KEYED}, None),
            ({"rpc_url": KEYED, "public_rpc_url": "https://public.example"}, "https://public.example"),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        world = World(folder, **settings)
        answer = world.http.get("/v1/network")
        assert answer.json()["rpc_url"] == shown
        assert SECRET not in answer.text
        assert SECRET not in world.http.get("/openapi.json").text
        world.kill()


def test_a_fault_within_tells_the_log_nothing_secret(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The page of an error, and its traceback as the log shows it."""
    app = create_app(world.services, background=False)

    @app.get("/broken")
    def broken() -> None:
        raise OSError(f"401 Client Error: Unauthorized for url: {KEYED}")

    from fastapi.testclient import TestClient

    with TestClient(app, raise_server_exceptions=False) as http:
        answer = http.get("/broken")
    assert answer.status_code == 500
    assert SECRET not in answer.text
    formatted = "\n".join(ScrubbingFormatter().format(record) for record in caplog.records)
    assert "https://rpc.example/…" in formatted
    assert SECRET not in formatted


def test_a_captured_grant_opens_nothing(world: World) -> None:
    """Who reads a grant on its way can't send it again, not with other addresses, and not for another's key."""
    node = Node(world, 1)
    grant = node.grant()
    moved = ("/ip4/6.6.6.6/tcp/1",)
    forged = grant.grant.model_copy(update={"maddrs": maddrs_digest(moved)})
    stolen = grant.grant.model_copy(update={"session_key": "0x" + "66" * 32, "nonce": "0x" + "66" * 32})
    answers = [
        node.open(grant.model_copy(update={"maddrs": moved})),
        node.open(grant.model_copy(update={"maddrs": moved, "grant": forged})),
        node.open(grant.model_copy(update={"grant": stolen})),
    ]
    assert [answer.json()["code"] for answer in answers] == [
        "wrong_maddrs",
        "bad_signature_grant",
        "bad_signature_grant",
    ]
    assert node.open(grant).status_code == 200
    assert node.open(grant).json()["code"] == "replayed_grant"
    world.kill()
    world.start()
    assert node.open(grant).json()["code"] == "replayed_grant", "a restart forgets no grant"
    month = int(world.clock()) + 29 * 86400
    assert node.open(node.grant(expires=month)).json()["code"] == "bad_expiry"


@pytest.fixture
def submitter(stage: Stage) -> Iterator[Callable[..., r1net.Client]]:
    made: list[r1net.Client] = []

    def make(url: str = REMOTE, **options: Any) -> r1net.Client:
        client = r1net.Client(url, account=key(1), **options)
        client.__dict__["network"] = stage.liar.info  # as the coordinator at that address would name it
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


def test_a_submitter_pays_only_into_contracts_that_he_knows(
    stage: Stage, submitter: Callable[..., r1net.Client], tmp_path: Path
) -> None:
    known = named(stage.liar.info)
    with pytest.raises(PreflightError, match="nothing vouches"):
        _ = submitter(rpc_url=stage.anvil.url).chain
    with pytest.raises(PreflightError, match="endpoint of your own"):
        _ = submitter(deployment=known).chain
    assert submitter(rpc_url=stage.anvil.url, deployment=known).chain.deployment == known
    other = known.model_copy(update={"contracts": addresses(2)})
    with pytest.raises(PreflightError, match="other contracts"):
        _ = submitter(rpc_url=stage.anvil.url, deployment=other).chain
    file = tmp_path / "network.json"
    known.model_copy(update={"code": {"JobEscrow": "0x" + "00" * 32}}).save(file)
    with pytest.raises(PreflightError, match=r"JobEscrow at .* has other code"):
        _ = submitter(rpc_url=stage.anvil.url, deployment=file).chain
    assert submitter(url=stage.liar.url).chain.deployment == known, "on this machine its word is enough"


def test_nothing_goes_in_the_clear_beyond_this_machine() -> None:
    for make in (
        lambda: r1net.Client("http://coordinator.example"),
        lambda: r1net.AsyncClient("http://coordinator.example"),
        lambda: r1net.Client(REMOTE, rpc_url="http://rpc.example"),
    ):
        with pytest.raises(UsageError, match="not encrypted"):
            make()
    r1net.Client("http://coordinator.example", allow_plain_http=True).close()


def certificate(folder: Path) -> dict[str, str]:
    """A self-signed certificate for 127.0.0.1, as settings name it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "r1")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    made = builder.add_extension(here, critical=False).sign(key, hashes.SHA256())
    (folder / "certificate.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return {"tls_certificate": str(folder / "certificate.pem"), "tls_key": str(folder / "key.pem")}


def test_a_coordinator_serves_tls_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = certificate(tmp_path)
    with Served(tmp_path, **settings).running() as served:
        with Transport(served.url) as stranger, pytest.raises(Unreachable):
            stranger.get("/v1/network", NetworkInfo)
        monkeypatch.setenv("SSL_CERT_FILE", settings["tls_certificate"])
        with Transport(served.url) as transport:
            assert transport.get("/v1/network", NetworkInfo).chain_id == 31337
        assert served.node(1).work() is None


def test_a_host_that_is_lied_to_sends_nothing(stage: Stage, tmp_path: Path) -> None:
    """`r1node claim` against a coordinator that names contracts other than those pinned: no transaction is made."""
    owner = create_keystore(tmp_path / "wallet.json", "secret", iterations=2)
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o600)
    common = ("--coordinator", stage.liar.url, "--data-dir", tmp_path, "--password-file", tmp_path / "password")
    digest = json.loads(run(BIN / "r1node", "trust", "--json", *common, folder=tmp_path)[1])["digest"]
    assert run(BIN / "r1node", "trust", "--digest", digest, *common, folder=tmp_path)[0] == 0
    before = stage.liar.info
    stage.liar.name(2)
    code, text = run(BIN / "r1node", "claim", *common, folder=tmp_path)
    stage.liar.info = before
    assert code == 3
    assert "other contracts" in text
    assert stage.anvil.rpc("eth_getTransactionCount", owner.address, "latest") == "0x0"
