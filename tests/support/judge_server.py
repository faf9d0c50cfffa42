"""A judge for tests: a small OpenAI-compatible server that answers as a test wants, when it wants."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

Reply = Callable[[dict[str, Any]], tuple[int, bytes]]


class Asked(NamedTuple):
    """One request, as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def line(self) -> str:
        """The line between the boundaries."""
        _, boundary, line, end = self.body["messages"][-1]["content"].split("\n")
        assert boundary == end
        return str(line)


def completion(said: str | None) -> bytes:
    """The body of an answer that says this."""
    message = {"role": "assistant", "content": said}
    return json.dumps({"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()


class JudgeServer:
    """``reply`` makes each answer from the request's body; while ``open`` is not set none is given.

    ``came`` is released for each request that came.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.reply: Reply = lambda body: (200, completion("SAME"))
        self.open = threading.Event()
        self.open.set()
        self.came = threading.Semaphore(0)
        judge = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                judge.asked.append(Asked(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                judge.came.release()
                judge.open.wait(30)
                status, data = judge.reply(body)
                try:
                    self.send_response(status)
                    self.send_header("content-length", str(len(data)))
                    self.send_header("location", "/elsewhere")
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:  # it waits no more
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def base_url(self) -> str:
        """With ``/v1``."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def say(self, said: str | None) -> None:
        """This, from now on."""
        self.reply = lambda body: (200, completion(said))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.open.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
