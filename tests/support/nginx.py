"""nginx with a piece of configuration, as an operator would put it into ``conf.d``."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.house import wait_for

_CONF = """\
user {user}; daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
{inside}
}}
"""


class Nginx:
    """``with Nginx(folder, inside, port)``: runs until the block ends; ``inside`` is what listens on ``port``."""

    def __init__(self, folder: Path, inside: str, port: int) -> None:
        folder.mkdir()
        self.port = port
        self._conf = folder / "nginx.conf"
        user = pwd.getpwuid(os.geteuid()).pw_name
        self._conf.write_text(_CONF.format(user=user, folder=folder, inside=inside))

    def __enter__(self) -> Self:
        program = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
        assert program is not None, "nginx is not installed: .ci/packages tests"
        self._process = subprocess.Popen([program, "-e", "stderr", "-c", str(self._conf)])
        wait_for(self._answers, 10, "nginx listens")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)

    def _answers(self) -> bool:
        assert self._process.poll() is None, "nginx ended"
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False
