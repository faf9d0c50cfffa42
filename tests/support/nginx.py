"""nginx with a piece of configuration, as an operator would put it into ``conf.d``: that of ``packaging``, say."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.certificates import Pair
from tests.support.house import wait_for

PACKAGED = Path(__file__).parents[2] / "packaging" / "nginx"
_HOSTS = "include /etc/nginx/fastgate-hosts.conf;"
_TLS = """\
    listen 443 ssl;
    ssl_certificate /etc/ssl/gateway.pem;
    ssl_certificate_key /etc/ssl/gateway.key;
"""
_CONF = """\
user {user}; daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
{inside}
}}
"""


def packaged(
    port: int, hosts: Sequence[int], pair: Pair | None = None, changed: Mapping[str, str] | None = None
) -> str:
    """``packaging/nginx/fastgate.conf`` with the ports of this machine; without TLS where there is no ``pair``."""
    text = (PACKAGED / "fastgate.conf").read_text(encoding="utf-8")
    line = (PACKAGED / "fastgate-hosts.conf").read_text(encoding="utf-8").splitlines()[1]
    tls = f"ssl; ssl_certificate {pair.cert}; ssl_certificate_key {pair.key}" if pair else ""
    here = {
        _HOSTS: "\n".join(line.replace("10.0.0.11:8080", f"127.0.0.1:{host}") for host in hosts),
        _TLS: f"listen 127.0.0.1:{port} {tls};\n",
        **(changed or {}),
    }
    for written, meant in here.items():
        assert text.count(written) == 1, written
        text = text.replace(written, meant)
    return text


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
