"""textarena's games without word lists, by verifiers' own environment of textarena."""

import itertools
import random

import textarena as ta
import verifiers.v1 as vf
from verifiers.v1.tasksets.textarena.taskset import SYSTEM_PROMPT, TextArenaData, TextArenaEnv, TextArenaTask

__all__ = ["Games", "TextArenaEnv"]


class GamesConfig(vf.TasksetConfig):
    game: str


class Games(vf.Taskset[TextArenaTask, GamesConfig]):
    INFINITE = True

    def load(self):
        for seed in itertools.count():
            random.seed(seed)
            game = ta.make(self.config.game)
            game.reset(num_players=1)
            info = {"game": self.config.game, "seed": seed}
            prompt = str(game.get_observation()[1])
            yield TextArenaTask(TextArenaData(prompt=prompt, system_prompt=SYSTEM_PROMPT, info=info), self.config.task)
