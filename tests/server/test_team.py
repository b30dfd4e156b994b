"""Who is started when: the team of a supervisor, with workers that are only played."""

import asyncio
import logging
import re
from types import SimpleNamespace

import pytest

from kdns.plugins.base import Endpoint, HttpReply
from kdns.server import http
from kdns.server.workers import supervisor
from kdns.server.workers import team as module
from kdns.server.workers.front import Front
from kdns.server.workers.kin import Relayed
from kdns.server.workers.messages import (
    Built,
    Decide,
    Numbers,
    Offer,
    Order,
    Path,
    Prepare,
    Propose,
    Setup,
    Standing,
)
from kdns.server.workers.team import Team


class Played:
    """A worker without a process."""

    def __init__(self, number, setup, now, hear, *, inherits=False):
        self.number, self.began_at, self.inherits = number, now, inherits
        self.standing = Standing(is_serving=False, is_ready=False)
        self.is_leaving = self.is_outdated = False
        self.numbers = Numbers(0, [], [])
        self.code: int | None = None
        self.process = SimpleNamespace(poll=lambda: self.code, kill=lambda: None)
        self.heard: list[object] = []
        self._hear = hear

    def say(self, message):
        self.heard.append(message)

    permit = say

    def feed(self, sock, *, gives):
        pass

    def end(self):
        pass

    async def count(self):
        return self.numbers

    def serves(self):
        self.standing = Standing(is_serving=True, is_ready=True, ports={"": 53})
        self._hear(self, self.standing)


@pytest.fixture
async def team(monkeypatch):
    monkeypatch.setattr(module, "Member", Played)
    made = Team(Setup("text", "path", 53, 3), lambda _member, _message: None)
    made.start()
    made.hear(made.members[0], Built())
    for one in made.members.values():
        one.serves()
    return made


async def dies(team: Team, number: int, code: int = -9) -> None:
    team.members[number].code = code
    team.reap()
    await asyncio.sleep(0.001)  # a successor at once is one turn of the loop away


def propose(team: Team, count: int) -> None:
    team.replace(Propose("text", "path", "v", count))


async def test_their_number_can_rise_again_after_one_was_killed(team):
    await dies(team, 2)
    team.members[2].serves()
    propose(team, 2)
    await dies(team, 2, 0)
    assert sorted(team.members) == [0, 1]
    propose(team, 3)
    assert sorted(team.members) == [0, 1, 2]


async def test_one_that_waits_for_its_time_is_not_started_twice_nor_sooner(team, caplog):
    caplog.set_level(logging.WARNING, "kdns")
    for _ in range(4):
        if 2 in team.members:
            await dies(team, 2)
        else:
            team._start(2)
            await dies(team, 2)
    assert re.findall(r" in (\S+) s", caplog.text) == ["0.25", "0.5", "1"]
    assert "worker 3 of 3 ended (SIGKILL: out of memory?)" in caplog.text
    team.hear(team.members[0], Built())
    assert 2 not in team.members


async def test_one_that_lived_long_is_replaced_at_once_again(team):
    await dies(team, 1)
    team.members[1].began_at -= module.SETTLED_S + 1
    await dies(team, 1)
    assert 1 in team.members


async def test_no_counter_goes_back_while_nobody_serves(team):
    for one in team.members.values():
        one.numbers = Numbers(0, [(("process_cpu_seconds_total",), 1.0)], [])
    front = Front(team)
    before = cpu(await front._page())
    for number in range(3):
        team.members[number].code = -9
    team.reap()
    assert not team.serving
    assert cpu(await front._page()) >= before > 3


async def test_an_order_waits_for_a_lead(team, monkeypatch):
    monkeypatch.setattr(supervisor, "LOOK_S", 0.001)
    made = supervisor.Supervisor(team.setup)
    made._team = team
    team.members[0].code = -9
    team.reap()
    made._order()
    assert team.lead is None
    while team.lead is None or Order() not in team.lead.heard:
        await asyncio.sleep(0.001)


async def test_a_vote_whose_lead_is_gone_is_logged_by_the_supervisor(team, caplog):
    made = supervisor.Supervisor(team.setup)
    made._team = team
    team.left.append(made._left)
    made._propose(Propose("text", "path", "v"))
    assert Prepare("text", "path", "v") in team.members[1].heard
    await dies(team, 0)
    why = "the worker that read it has ended"
    assert Decide((why,)) in team.members[1].heard
    assert f"the Corefile is not taken over: {why}" in caplog.text


def cpu(page: bytes) -> float:
    [found] = re.findall(rb"\nprocess_cpu_seconds_total (\S+)", page)
    return float(found)


async def test_other_paths_at_an_open_address_are_told_to_the_supervisor():
    async def serve(_query):
        return HttpReply(200, b"")

    def routes(*paths):
        return {path: Endpoint("", 80, path, serve) for path in paths}

    said = []
    lead = Relayed(("", 80), 80, http.Offer("health", routes("/health")), said.append)
    lead.routes = routes("/health")
    assert said == []
    lead.routes = routes("/health", "/ready")
    assert said == [Offer(0, ("", 80), "health", (Path("/health"), Path("/ready")))]
    other = Relayed(("", 80), 80, http.Offer("health", routes("/health")), None)
    other.routes = routes("/ready")
    assert set(other.routes) == {"/ready"}
