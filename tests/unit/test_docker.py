"""The compose file sets only settings that exist. (Building the images needs a Docker engine.)"""

from __future__ import annotations

from pathlib import Path

import yaml

from r1coordinator.settings import ENV_PREFIX as COORDINATOR_PREFIX
from r1coordinator.settings import Settings as CoordinatorSettings
from r1node.settings import ENV_PREFIX as NODE_PREFIX
from r1node.settings import Settings as NodeSettings

ROOT = Path(__file__).resolve().parents[2]


def test_every_variable_is_a_setting() -> None:
    services = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]
    for name, service in services.items():
        prefix, settings = (
            (COORDINATOR_PREFIX, CoordinatorSettings) if name == "coordinator" else (NODE_PREFIX, NodeSettings)
        )
        known = {prefix + field.upper() for field in settings.model_fields}
        assert set(service["environment"]) <= known, name
        assert service["build"]["target"] in (ROOT / "docker" / "Dockerfile").read_text()
