"""kill -9 of a process that sends notices: none is missed, and what comes twice comes with the same key.

STEWARD_NOTICE_KILLS: how often it is killed (default 12; `STEWARD_NOTICE_KILLS=1000` for the full number).
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import threading
from collections import Counter
from multiprocessing.context import ForkServerProcess as Victim
from pathlib import Path

import pytest

from gateway.adapters.clock import epoch
from gateway.adapters.notify_webhook import genuine
from gateway.adapters.state import open_state
from gateway.model import Notice
from gateway.ports import Commit
from tests.support import notify_victim
from tests.support.notify_servers import Answer, Asked, service
from tests.support.notify_victim import SECRET

NOTICES = 1000
KILLS = int(os.environ.get("STEWARD_NOTICE_KILLS", "12"))


class Receiver:
    """Takes what is signed and notes the keys; tells when the next so many have come."""

    def __init__(self) -> None:
        self.keys: Counter[str] = Counter()
        self.bodies: dict[str, bytes] = {}
        self.forged = 0
        self.changed = 0
        self._left = 0
        self.enough = threading.Event()
        self._lock = threading.Lock()

    def expect(self, count: int) -> None:
        with self._lock:
            self._left = count
            self.enough.clear()

    def judge(self, asked: Asked) -> Answer:
        stamp, given = asked.headers["x-steward-timestamp"], asked.headers["x-steward-signature"]
        if not genuine(SECRET, stamp, asked.body, given, epoch()):
            self.forged += 1
            return 403, b""
        key = asked.headers["idempotency-key"]
        with self._lock:
            self.keys.update(asked.json["keys"])
            if self.bodies.setdefault(key, asked.body) != asked.body:
                self.changed += 1
            self._left -= len(asked.json["keys"])
            if self._left <= 0:
                self.enough.set()
        return 200, b""


def notices(batch: int = 0) -> list[Notice]:
    text = {"zh": "困人", "en": "entrapment"}
    return [
        Notice(
            f"wo-{n}:0:LM:push", "garden", n, "LM", "push", f"wo-{n}", text, text, 1 + n % 2, life=n % 2 == 0
        )
        for n in range(batch * NOTICES, (batch + 1) * NOTICES)
    ]


FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["pytest", "tests.support.notify_victim"])


def victim(state: Path, url: str) -> Victim:
    """A real process; what it needs is loaded already, so that a kill costs no second."""
    process = FORK.Process(target=notify_victim.run, args=(str(state), url))
    process.start()
    return process


@pytest.mark.timeout(max(400, KILLS * 3))
def test_a_thousand_notices_survive_kills_while_they_are_sent(tmp_path: Path) -> None:
    path, receiver, chance = tmp_path / "state.db", Receiver(), random.Random(KILLS)
    batches = kills = 0
    with service(receiver.judge) as hook:
        url = f"{hook.base}/in"
        while kills < KILLS or not batches:
            state = open_state(path)
            state.commit(Commit(notices=notices(batches)))
            state.close()
            batches += 1
            while kills < KILLS:
                process = victim(path, url)
                receiver.expect(chance.randrange(1, 2 * max(1, NOTICES // KILLS) + 1))
                # It may be in any place: before the first, between a request and its receipt, at the end.
                while not receiver.enough.wait(0.02) and process.is_alive():
                    continue
                alive = process.is_alive()
                process.kill()
                process.join()
                process.close()
                kills += alive
                if not alive:  # all of the batch is sent
                    break
        last = victim(path, url)
        last.join(300)
        assert last.exitcode == 0
        last.close()
    queued = {n.id for batch in range(batches) for n in notices(batch)}
    missed = queued - set(receiver.keys)
    repeats = sum(receiver.keys.values()) - len(receiver.keys)
    told = f"kills={kills} notices={len(queued)} missed={len(missed)} repeats={repeats}\n"
    sys.stdout.write(told)
    assert not missed
    assert set(receiver.keys) == queued, "no key that nobody queued"
    assert (receiver.forged, receiver.changed) == (0, 0), "a repeat says the same under the same key"
    assert kills == KILLS
    state = open_state(path)
    assert state.notice_counts() == {"sent": len(queued)}
    state.close()
