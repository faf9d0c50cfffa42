"""Users of a gateway, for locust: ``locust -f loadtest/locustfile.py``, from the repository's root; ``make locust``.

They chat, read streams, work in agents' sessions whose context grows, and spend a budget to its end. Every answer is
checked: a wrong one is a failure, which ends locust with status 1, as a threshold does that is not kept.

===============================  ===========================================================================
``FASTGATE_LOADTEST_URL``        the gateway's address, where ``--host`` does not say it
``FASTGATE_LOADTEST_KEY``        a virtual key
``FASTGATE_LOADTEST_DRY_KEY``    one that nobody else uses, with one budget to be spent; absent: none is
``FASTGATE_LOADTEST_SCENARIOS``  in place of ``scenarios.json``
``FASTGATE_LOADTEST_REQUESTS``   ends the run of each process (10000), as ``--run-time`` does
===============================  ===========================================================================
"""

import itertools
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, events, task
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS
from locust.env import Environment
from locust.runners import WorkerRunner
from locust.stats import RequestStats

from loadtest.scenarios import FILE, Purse, Scenarios, Session
from loadtest.talk import Answer, Dialect, Message, Stream, Wrong, read_refusal, read_whole

KEY = os.environ["FASTGATE_LOADTEST_KEY"]
DRY_KEY = os.environ.get("FASTGATE_LOADTEST_DRY_KEY", "")
MOST_REQUESTS = int(os.environ.get("FASTGATE_LOADTEST_REQUESTS", "10000"))
SCENARIOS = Scenarios(Path(os.environ.get("FASTGATE_LOADTEST_SCENARIOS", FILE)))
OURS = "users"
"""In locust's column of methods: figures of ours, which are no requests."""
REFUSED = "refused"


class Client(FastHttpUser):
    """What all of them have in common."""

    abstract = True
    habit = SCENARIOS.asking
    host = os.environ.get("FASTGATE_LOADTEST_URL", "http://127.0.0.1:8080")

    def wait_time(self) -> float:
        """Seconds to think before the next request."""
        return self.habit.think_seconds.draw()

    @contextmanager
    def asked(self, what: str, dialect: Dialect, headers: Mapping[str, str], body: Message) -> Iterator[Any]:
        """The response to a request, its body unread; a failure where Wrong is raised while it is looked at."""
        sent = {"data": json.dumps(body), "headers": headers, "name": f"{what} {dialect.name}"}
        began = time.perf_counter()
        with self.client.post(dialect.path, **sent, stream=True, catch_response=True) as response:
            try:
                yield response
                response.success()
            except (Wrong, *FAILURE_EXCEPTIONS) as error:
                response.failure(error)
            response.request_meta["response_time"] = (time.perf_counter() - began) * 1000

    def streamed(
        self, what: str, dialect: Dialect, headers: Mapping[str, str], body: Message, take: Callable[[Answer], None]
    ) -> bool:
        """Reads a streamed answer, which ``take`` may find Wrong; its times become metrics. Whether it was right."""
        stream = Stream(dialect, time.perf_counter())
        with self.asked(what, dialect, headers, body) as response:
            expect(response, 200)
            while line := response._response.readline(b"\n"):  # FastResponse.readline has another separator
                stream.line(line, time.perf_counter())
            take(stream.end())
            self.noted("first token", stream.first_token)
            self.noted("longest gap", stream.longest_gap)
            return True
        return False

    def noted(self, what: str, seconds: float) -> None:
        """Adds a figure to locust's statistics."""
        self.environment.events.request.fire(
            request_type=OURS, name=what, response_time=seconds * 1000, response_length=0, exception=None
        )


def expect(response: Any, status: int) -> None:
    """Raises Wrong where the status is another one; 0: there was no answer."""
    if response.status_code != status:
        raise Wrong(f"{response.status_code} {response.text[:300] if response.status_code else response.error}")


class Chatting(Client):
    """Asks, and reads whole answers."""

    weight = SCENARIOS.users["chat"]

    @task
    def chat(self) -> None:
        dialect = SCENARIOS.dialect()
        body = SCENARIOS.ask(dialect, self.habit, stream=False)
        with self.asked("chat", dialect, dialect.headers(KEY), body) as response:
            expect(response, 200)
            read_whole(dialect, response.content)


class Streaming(Client):
    """Asks, and reads answers as they come."""

    weight = SCENARIOS.users["stream"]

    @task
    def stream(self) -> None:
        dialect = SCENARIOS.dialect()
        body = SCENARIOS.ask(dialect, self.habit, stream=True)
        self.streamed("stream", dialect, dialect.headers(KEY), body, take=lambda answer: None)


class Agent(Client):
    """A coding agent: session after session, the context of each growing with every turn."""

    weight = SCENARIOS.users["agent"]

    @task
    def session(self) -> None:
        session = Session(SCENARIOS)
        for _ in range(session.turns):
            if not self.streamed("agent", session.dialect, session.headers(KEY), session.body(), session.take):
                return
            self.wait()


class Spending(Client):
    """One client, who spends a budget to its end and goes on asking."""

    abstract = not DRY_KEY
    habit = SCENARIOS.spending
    fixed_count = 1

    def on_start(self) -> None:
        self.purse = Purse()

    @task
    def spend(self) -> None:
        dialect = SCENARIOS.dialect()
        body = SCENARIOS.ask(dialect, self.habit, stream=False)
        with self.asked("spend", dialect, dialect.headers(DRY_KEY), body) as response:
            if response.status_code == 402:
                message = read_refusal(dialect, response.content)
                self.purse.refuse(message, response.headers.get("x-fastgate-error"))
                self.noted(REFUSED, 0)
            else:
                expect(response, 200)
                read_whole(dialect, response.content)
                self.purse.pay(response.headers)


@events.init.add_listener
def bound_requests(environment: Environment, **_: Any) -> None:
    """The run ends with its last request, if its time is not over before."""
    numbers = itertools.count(1)

    def count(request_type: str, **_: Any) -> None:
        if request_type != OURS and next(numbers) == MOST_REQUESTS:
            gevent.spawn(environment.runner.quit)  # not here: it waits for the user whose request this was

    environment.events.request.add_listener(count)


@events.quitting.add_listener
def check_thresholds(environment: Environment, **_: Any) -> None:
    """Ends locust with status 1 where one is not kept, or the budget that was to be spent was not."""
    if isinstance(environment.runner, WorkerRunner):
        return  # it knows its own users alone
    found = {name: percentile(environment.stats, name) for name in SCENARIOS.thresholds_ms}
    most = SCENARIOS.thresholds_ms
    broken = [
        f"{name} is {ms:.0f} ms, and may be {most[name]:g}" if ms is not None else f"{name}: nothing was measured"
        for name, ms in found.items()
        if ms is None or ms > most[name]
    ]
    if DRY_KEY and not environment.stats.get(REFUSED, OURS).num_requests:
        broken.append("the budget was not spent: it is too much for so short a run")
    for text in broken:
        logging.error(text)
        environment.process_exit_code = 1


def percentile(stats: RequestStats, name: str) -> float | None:
    """The worst of all statistics that a threshold is for, in ms: ``chat_p95`` is for those of ``chat openai``, too.

    None: there are none.
    """
    what, _, percent = name.rpartition("_p")
    entries = (entry for (of, _), entry in stats.entries.items() if of.startswith(what.replace("_", " ")))
    return max((entry.get_response_time_percentile(int(percent) / 100) for entry in entries), default=None)
