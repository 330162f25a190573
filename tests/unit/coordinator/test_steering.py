"""A submitter pauses and resumes; nobody else does, and no signature counts twice."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from httpx import Response

from r1net.protocol.signing import steering_values
from r1net.protocol.steering import SignedSteering, Steering
from tests.unit.coordinator.jobs import SUBMITTER_KEY, key
from tests.unit.coordinator.network import World, run


def steer(
    world: World, job_id: str, action: Literal["pause", "resume"], signer: Any = SUBMITTER_KEY, late: float = 0
) -> Response:
    world.clock.time += 1
    steering = Steering(job_id=job_id, action=action, issued=int((world.clock() - late) * 1000))
    return post(world, job_id, SignedSteering(steering=steering, signature=sign(world, steering, signer)))


def sign(world: World, steering: Steering, signer: Any = SUBMITTER_KEY) -> str:
    return world.domain.sign(signer, "Steering", steering_values(steering))


def post(world: World, job_id: str, signed: SignedSteering) -> Response:
    answer: Response = world.http.post(f"/v1/jobs/{job_id}/steering", content=signed.model_dump_json())
    return answer


def test_a_paused_job_gives_out_nothing_and_takes_what_is_in_hand(world: World) -> None:
    job_id = world.submit()
    node = world.node(1)
    lease = node.work()
    assert lease is not None
    assert steer(world, job_id, "pause").json()["held"] == "paused"
    other = world.node(2).ask()
    assert (other.lease, other.reason) == (None, "the job's submitter has paused it")
    assert node.do(lease).status_code == 200
    assert node.work() is None
    assert steer(world, job_id, "resume").json()["held"] is None
    run(world, [node], job_id)
    assert world.job(job_id)["state"] == "completed"


def test_a_pause_outlives_the_coordinator(world: World) -> None:
    job_id = world.submit()
    steer(world, job_id, "pause")
    world.kill()
    world.start()
    assert world.job(job_id)["held"] == "paused"


def test_only_the_submitter_steers(world: World) -> None:
    job_id, other = world.submit(), world.submit(number=2)
    assert steer(world, job_id, "pause", key(5)).json()["code"] == "bad_steering_signature"
    steering = Steering(job_id=other, action="pause", issued=int(world.clock() * 1000))
    signed = SignedSteering(steering=steering, signature=sign(world, steering))
    assert post(world, job_id, signed).status_code == 401, "signed for another job"
    forged = signed.model_copy(update={"signature": "0x" + "11" * 65})
    assert post(world, other, forged).status_code == 401
    assert world.job(job_id)["held"] is None


def test_a_signature_counts_once_and_not_for_long(world: World) -> None:
    job_id = world.submit()
    world.clock.time += 1
    steering = Steering(job_id=job_id, action="resume", issued=int(world.clock() * 1000))
    signed = SignedSteering(steering=steering, signature=sign(world, steering))
    assert post(world, job_id, signed).status_code == 200
    steer(world, job_id, "pause")
    assert post(world, job_id, signed).json()["code"] == "stale_steering"
    assert steer(world, job_id, "resume", late=700).json()["code"] == "stale_steering"
    assert steer(world, job_id, "resume", late=-700).json()["code"] == "stale_steering"
    assert world.job(job_id)["held"] == "paused"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"steering": 1}', b"\xff" * 100])
def test_nonsense_is_refused(body: bytes, world: World) -> None:
    job_id = world.submit()
    assert world.http.post(f"/v1/jobs/{job_id}/steering", content=body).status_code in (400, 422)


def test_a_job_that_is_over_is_not_steered(world: World) -> None:
    job_id = world.submit()
    run(world, [world.node(1)], job_id)
    assert steer(world, job_id, "pause").json()["code"] == "not_running"
