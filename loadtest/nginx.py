"""nginx twice: the constant upstream of all subjects, and the proxy that they are compared with."""

import os
import pwd
import re
import time
import urllib.request
from string import Template
from typing import Final

from loadtest.errors import RigError
from loadtest.programs import Programs, find, free_port

QUIET_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 0.1

MODEL: Final = "constant-1"
PROMPT_TOKENS: Final = 250
COMPLETION_TOKENS: Final = 12
CONTENT: Final = "A constant answer of some length, as short answers are."
ANSWER: Final = (
    '{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"constant-1","choices":[{"index":0,"message":'
    f'{{"role":"assistant","content":"{CONTENT}"}},"finish_reason":"stop"}}],'
    f'"usage":{{"prompt_tokens":{PROMPT_TOKENS},"completion_tokens":{COMPLETION_TOKENS},"total_tokens":262}},'
    '"service_tier":"default"}'
)

# The buffer takes the largest prompt: nginx would write it to a file otherwise, at a fifth of the speed.
_COMMON: Final = Template("""\
user $user; daemon off; master_process off; pid $folder/$name.pid; error_log $folder/$name.err;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000; client_body_buffer_size 512k; client_max_body_size 64m;
  client_body_temp_path $folder/$name.body; proxy_temp_path $folder/$name.proxy; fastcgi_temp_path $folder/$name.fcgi;
  uwsgi_temp_path $folder/$name.uwsgi; scgi_temp_path $folder/$name.scgi;
  $inside
}
""")
_UPSTREAM: Final = Template("""server {
    listen 127.0.0.1:$port backlog=4096;
    location / { default_type application/json; return 200 '$answer'; }
    location = /count { stub_status; }
  }""")
_PROXY: Final = Template("""upstream constant {
    server 127.0.0.1:$upstream; keepalive 256; keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:$port backlog=4096;
    location / { proxy_pass http://constant; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }""")


class Nginx:
    """One running nginx, a single process."""

    def __init__(self, programs: Programs, name: str, inside: Template, core: int, **values: object) -> None:
        self.port = free_port()
        self._asked = 0
        folder = programs.folder
        text = _COMMON.substitute(
            user=pwd.getpwuid(os.geteuid()).pw_name,
            folder=folder,
            name=name,
            inside=inside.substitute(port=self.port, **values),
        )
        path = folder / f"{name}.conf"
        path.write_text(text)
        self.pid = programs.start(name, [find("nginx"), "-e", "stderr", "-c", str(path)], core, port=self.port)

    def requests(self) -> int:
        """How many requests it has served once none is on its way any more; of an upstream only.

        What clients that have left had asked for still comes for a moment. Raises RigError where it does not end.
        """
        deadline, before = time.monotonic() + QUIET_SECONDS, -1
        while True:
            served, busy = self._count()
            if served == before and not busy:
                return served
            if time.monotonic() > deadline:
                raise RigError(f"requests still reach the upstream {QUIET_SECONDS:g} s after the last client left")
            before = served
            time.sleep(LOOK_SECONDS)

    def served(self) -> int:
        """How many requests it has served so far, whatever is on its way; of an upstream only."""
        return self._count()[0]

    def _count(self) -> tuple[int, bool]:
        """Requests served, and whether some are being served; the one that asks for it left out."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/count", timeout=10) as answer:
            text = answer.read().decode()
        found = re.search(r"requests\s+\d+ \d+ (\d+)\s+Reading: (\d+) Writing: (\d+)", text)
        if found is None:
            raise RigError("nginx does not say how many requests it has served: stub_status is missing")
        self._asked += 1
        return int(found[1]) - self._asked, int(found[2]) > 0 or int(found[3]) > 1


def upstream(programs: Programs, core: int) -> Nginx:
    """The constant upstream."""
    return Nginx(programs, "upstream", _UPSTREAM, core, answer=ANSWER)


def proxy(programs: Programs, core: int, upstream_port: int) -> Nginx:
    """The proxy to compare with."""
    return Nginx(programs, "nginx", _PROXY, core, upstream=upstream_port)
