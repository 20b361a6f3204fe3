"""A limit of time on what a server takes to say something, however it spreads its bytes.

A timeout of the socket begins anew with every byte: a server that sends one now and then is waited
for without end, in the middle of its headers or of the line that tells the length of a chunk.
"""

from __future__ import annotations

import io
import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from requests import Response, Session

_LOOK_SECONDS = 0.05
_MOST_REDIRECTS = 10


class Watchdog:
    """Hangs up where nothing whole has come in a time.

    Parameters
    ----------
    seconds : float
        Between two calls of ``fed``, the first counted from the beginning.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._until = seconds, time.monotonic() + seconds
        self._lock = threading.Lock()
        self._socket: Any = None
        self._ended = threading.Event()
        self.late = False

    def __enter__(self) -> Watchdog:
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        story: TracebackType | None,
    ) -> None:
        self._ended.set()

    def fed(self) -> None:
        """Something whole has come."""
        self._until = time.monotonic() + self._seconds

    def take(self, connected: Any) -> None:
        """Watch over a socket, the last one that was connected."""
        with self._lock:
            self._socket = connected
            if self.late:
                self._hang_up()

    def _watch(self) -> None:
        while not self._ended.wait(max(_LOOK_SECONDS, self._until - time.monotonic())):
            if time.monotonic() >= self._until:
                with self._lock:
                    self.late = True
                    self._hang_up()
                return

    def _hang_up(self) -> None:
        with suppress(OSError, AttributeError):
            # Below TLS, whose own farewell would wait for the other side.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _without_body(response: Response, **_: Any) -> None:
    """Leave the body of a redirect, which requests reads to its end, where it has none."""
    if response.is_redirect:
        response.raw.close()
        response.raw = io.BytesIO()


def watched_session(watchdog: Watchdog) -> Session:
    """Return a session of requests whose connections a watchdog knows, those of redirects too."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            watchdog.take(self.sock)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            watchdog.take(self.sock)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    class Adapter(HTTPAdapter):
        def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
            for manager in (self.poolmanager, *self.proxy_manager.values()):
                manager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
            return super().get_connection_with_tls_context(*args, **kwargs)

        def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
            manager = super().proxy_manager_for(*args, **kwargs)
            manager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
            return manager

    session = requests.Session()
    session.max_redirects = _MOST_REDIRECTS
    session.hooks["response"].append(_without_body)
    for scheme in ("http://", "https://"):
        session.mount(scheme, Adapter())
    return session
