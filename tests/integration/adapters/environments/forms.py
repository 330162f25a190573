"""Poems under constraints, by the public package staros-stardata: one turn, a verifier without a judge."""

import verifiers.v1 as vf
from stardata.envs.constraint_gym import build_dataset, prosody_reward

__all__ = ["Forms"]


class Poem(vf.TaskData):
    info: dict


class PoemTask(vf.Task[Poem, vf.State, vf.TaskConfig]):
    @vf.reward
    async def prosody(self, trace) -> float:
        return prosody_reward(trace.last_reply, info=self.data.info)


class FormsConfig(vf.TasksetConfig):
    forms: list[str]


class Forms(vf.Taskset[PoemTask, FormsConfig]):
    def load(self):
        for row in build_dataset(self.config.forms):
            yield PoemTask(Poem(prompt=row["prompt"], info=row["info"]), self.config.task)
