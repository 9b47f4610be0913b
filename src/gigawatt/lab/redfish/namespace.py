"""A thread enters a network namespace, so that a socket is opened there."""

import ctypes
import os
import socket
from pathlib import Path
from threading import Thread

CLONE_NEWNET = 0x40000000
"""linux/sched.h."""


def enter(namespace: str | None) -> None:
    """Bring this thread, and only this one, into a network namespace; None stays.

    Raises:
        OSError: there is no such namespace, or we may not.
    """
    if namespace is None:
        return
    file = os.open(Path(namespace), os.O_RDONLY | os.O_CLOEXEC)
    try:
        # os.setns is there from Python 3.12 on.
        if ctypes.CDLL(None, use_errno=True).setns(file, CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), namespace)
    finally:
        os.close(file)


def listening_socket(namespace: str | None, ipv4: str, tcp_port: int) -> socket.socket:
    """A socket that listens in a namespace, to be used from anywhere.

    Raises:
        OSError: it cannot be opened.
    """
    opened: list[socket.socket | OSError] = []

    def work() -> None:
        try:
            enter(namespace)
            opened.append(socket.create_server((ipv4, tcp_port), backlog=64))
        except OSError as error:
            opened.append(error)

    thread = Thread(target=work)
    thread.start()
    thread.join()
    (result,) = opened
    if isinstance(result, OSError):
        raise result
    return result
