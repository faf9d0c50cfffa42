"""What every process writes to standard error: lines for people, or one JSON object per line.

An object of the JSON form::

    {"ts": "2026-11-26T09:47:25.123456Z", "level": "warning", "process": "worker", "worker": 0,
     "message": "request 18...: provider openai: connection refused", "request_id": "18..."}

``ts`` is RFC 3339 in UTC; ``level`` is one of debug, info, warning, error, critical; ``worker`` is there for workers
alone, ``request_id`` where a line is about one request. A line about an exception has ``"exception": {"type",
"message", "trace"}``. What a caller passes as ``extra={"facts": {...}}`` is merged in.

Only the standard library is imported: the supervisor and every worker load this.
"""

import faulthandler
import io
import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Literal

Form = Literal["text", "json"]

VARIABLE: Final = "FASTGATE_LOG_FORMAT"
"""Tells children which form their parent decided on."""
STDERR: Final = 2

log = logging.getLogger("fastgate")


def set_up(process: str, *, text: str, worker: int | None = None, form: Form | None = None) -> None:
    """Sets logging up for this process; called again, it can turn lines for people into JSON.

    ``text`` is the format of lines for people (as :mod:`logging` takes it). ``form`` absent: what the parent decided.
    """
    handler: logging.Handler
    if (form or os.environ.get(VARIABLE, "text")) == "json":
        handler = _Descriptor()
        handler.setFormatter(JsonLines(process, worker))
        _take_over()
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(text))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # What ends a process without Python's doing (the arena was cut off under it) at least says so, and where.
    faulthandler.enable(STDERR, all_threads=False)
    # An HTTP client tells of every call, and the server of every process of its own.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("_granian").setLevel(logging.ERROR)


def take_over_stdout() -> None:
    """Puts what a child prints into the log, where that is JSON: its standard output is the supervisor's log."""
    if isinstance(sys.stderr, Lines):
        sys.stdout = Lines(logging.INFO)


class JsonLines(logging.Formatter):
    """One record as one line of JSON, without its end."""

    def __init__(self, process: str, worker: int | None = None) -> None:
        super().__init__()
        self._origin: dict[str, Any] = {"process": process}
        if worker is not None:
            self._origin["worker"] = worker

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        entry: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            **self._origin,
            "message": record.getMessage(),
        }
        facts: Mapping[str, Any] = getattr(record, "facts", {})
        entry |= {name: value for name, value in facts.items() if name not in entry}
        if record.exc_info and record.exc_info[1] is not None:
            entry["exception"] = _exception(record.exc_info[1])
        return json.dumps(entry, ensure_ascii=False, default=str)


def _exception(error: BaseException) -> dict[str, str]:
    trace = "".join(traceback.format_exception(error))
    return {"type": type(error).__qualname__, "message": str(error), "trace": trace.rstrip("\n")}


class _Descriptor(logging.Handler):
    """Writes each line by one system call, so that lines of processes that share a pipe do not mix."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the record; whoever logs must not fail because nobody reads."""
        try:
            # Half a character of a client's must not spoil a line.
            os.write(STDERR, self.format(record).encode("utf-8", "replace") + b"\n")
        except OSError:
            return
        except Exception:  # noqa: BLE001
            self.handleError(record)  # one that does not format is told of on sys.stderr, which is us again


class Lines(io.TextIOBase):
    """A stream for whatever prints past the log: every line that is written becomes a record of one level."""

    def __init__(self, level: int) -> None:
        self._level = level
        self._begun = ""

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Logs the lines that are complete; the rest waits for its end."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            if line.strip():
                log.log(self._level, "%s", line)
        return len(text)


def _take_over() -> None:
    """Whatever would reach standard error past the log becomes lines of it: warnings, usage errors, fatal exceptions.

    Only what the interpreter or a library writes to the descriptor itself, when it crashes, is beyond reach.
    """
    sys.stderr = Lines(logging.ERROR)
    sys.excepthook = _fatal
    threading.excepthook = lambda ended: _fatal(ended.exc_type, ended.exc_value, ended.exc_traceback)


def _fatal(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is not None and not issubclass(kind, (KeyboardInterrupt, SystemExit)):
        log.critical("ended by %s", kind.__qualname__, exc_info=(kind, error, trace))
