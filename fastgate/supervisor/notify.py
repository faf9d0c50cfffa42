"""Tells a service manager how the service fares, by systemd's protocol of one datagram (``sd_notify``).

Where no manager listens (``NOTIFY_SOCKET`` is not set) nothing happens.
"""

import logging
import os
import socket

VARIABLE = "NOTIFY_SOCKET"

log = logging.getLogger("fastgate.supervisor")


def tell(state: str, status: str) -> None:
    """Sends ``READY`` or ``STOPPING``, with a sentence that ``systemctl status`` shows.

    A manager that does not listen is logged and otherwise let go: requests are served all the same.
    """
    address = os.environ.get(VARIABLE)
    if not address:
        return
    if address.startswith("@"):  # stands for the zero byte of the abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)  # a manager that hangs must not hold up what it manages
        try:
            sender.sendto(f"{state}=1\nSTATUS={status}".encode(), address)
        except OSError as error:
            log.warning("the service manager could not be told of %s: %s", state, error.strerror)
