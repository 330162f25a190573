"""A coordinator that names whatever network it likes, and a real chain with code at the addresses that it names."""

from __future__ import annotations

import http.server
import threading
from pathlib import Path

from eth_account import Account

from r1net.protocol.views import NetworkInfo
from tests.e2e.harness.chain import Anvil

CHAIN_ID = 31337
NAMES = (
    "R1Token",
    "NodeRegistry",
    "JobEscrow",
    "Settlement",
    "Rewards",
    "Provenance",
    "VerifierPool",
    "Disputes",
    "FraudProofs",
    "Restitution",
    "R1Governor",
    "R1Timelock",
)


def addresses(seed: int) -> dict[str, str]:
    """An address for each contract."""
    keys = (f"0x{seed:032x}{number:032x}" for number in range(1, len(NAMES) + 1))
    return {name: str(Account.from_key(key).address) for name, key in zip(NAMES, keys, strict=True)}


class Liar:
    """Answers GET /v1/network with `info`, as it stands then; `asked` counts how often."""

    def __init__(self, info: NetworkInfo) -> None:
        self.info, self.asked = info, 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                body = outer.info.model_dump_json().encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Be quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    def name(self, seed: int) -> None:
        """Name other contracts from now on."""
        self.info = self.info.model_copy(update={"contracts": addresses(seed)})


class Stage:
    """Anvil with code at the addresses of `seed` 1, and a coordinator that names them."""

    def __init__(self, folder: Path) -> None:
        self.anvil = Anvil(folder / "logs", folder / "anvil.json")
        self.anvil.process.start()
        self.anvil.wait()
        for number, address in enumerate(addresses(1).values()):
            self.put_code(address, f"0x60{number:02x}00")
        self.liar = Liar(
            NetworkInfo(
                chain_id=CHAIN_ID,
                rpc_url=self.anvil.url,
                contracts=addresses(1),
                coordinator="0x" + "11" * 20,
                software="liar",
            )
        )

    def put_code(self, address: str, code: str) -> None:
        """Change what runs at an address."""
        self.anvil.rpc("anvil_setCode", address, code)

    def close(self) -> None:
        """End both."""
        self.liar.close()
        self.anvil.process.stop()
