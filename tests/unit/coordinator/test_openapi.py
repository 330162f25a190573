"""The description of the routes is complete: whoever adds one must say what it takes."""

from __future__ import annotations

from r1coordinator.api.openapi import BODIES
from tests.unit.coordinator.network import World


def test_every_route_says_what_it_takes_and_that_it_may_refuse(world: World) -> None:
    document = world.http.get("/openapi.json").json()
    paths = document["paths"].items()
    operations = {f"{method.upper()} {path}": op for path, ops in paths for method, op in ops.items()}
    assert {name for name in operations if name.startswith("POST")} == BODIES.keys()
    for name, operation in operations.items():
        assert {"4XX", "5XX"} <= operation["responses"].keys(), name
        assert "422" not in operation["responses"], name
        taken = BODIES.get(name)
        assert ("requestBody" in operation) == (taken is not None or name.startswith("PUT")), name
    schemas = document["components"]["schemas"]
    assert {"RolloutSubmission", "WorkRequest", "Problem"} <= schemas.keys()
    assert "HTTPValidationError" not in schemas


def test_a_method_that_a_route_lacks_is_named_as_such(world: World) -> None:
    answer = world.http.delete("/v1/jobs")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"
