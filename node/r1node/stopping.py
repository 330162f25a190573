"""How a worker is stopped: the first signal lets it finish the task in hand, the next one gives the task back.

Ctrl-C waits as long as the task takes, and says so. SIGTERM, which services and containers send before they kill, waits
`GRACE` seconds at most. A signal comes in the middle of anything, so what there is to say is said by a thread.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
from types import FrameType

from r1node.agent import Agent
from r1node.events import Events

GRACE = 7.0
"""Seconds that a task may go on after SIGTERM: Docker kills 10 s after it."""


class Stopping:
    """Stops an agent on SIGINT and SIGTERM. To be made on the main thread, which runs the agent."""

    def __init__(self, agent: Agent, events: Events) -> None:
        self._agent, self._events = agent, events
        self._asked = 0
        self._words: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._say, name="stopping", daemon=True).start()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, self._heard)

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        self._asked += 1
        if self._asked == 1:
            self._words.put(self._first(number))
            if number == signal.SIGTERM:
                signal.setitimer(signal.ITIMER_REAL, GRACE)
            self._agent.request_stop()
        elif self._asked == 2:
            self._words.put("giving back what is in hand; once more to end at once")
            self._agent.stop_now()
        else:
            os._exit(128 + number)

    def done(self) -> None:
        """The agent has ended: a further signal ends the process at once."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._asked = max(self._asked, 2)

    def _first(self, number: int) -> str:
        if not self._agent.pace.busy:
            return "leaving"
        left = self._agent.pace.left
        about = "" if left is None else f" (about {left:.0f} s)"
        then = f"it is given back in {GRACE:g} s" if number == signal.SIGTERM else "once more to stop now"
        return f"finishing this task{about}; {then}"

    def _say(self) -> None:
        while True:
            self._events.note("stopping", self._words.get())
