"""A local server with mirrors that break, ignore ranges or deliver something else."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Mirror:
    """What a path of the server delivers; a break hits the first `len(breaks)` answers."""

    content: bytes
    ranges: bool = True
    breaks: list[int] = field(default_factory=list)


@dataclass
class Server:
    """The mirrors by path, and what was asked of them: path and first byte."""

    address: str
    mirrors: dict[str, Mirror] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)

    def add(self, name: str, content: bytes, **behaviour: Any) -> str:
        """Deliver `content` at a path and return its URL."""
        self.mirrors[f"/{name}"] = Mirror(content, **behaviour)
        return self.url(name)

    def url(self, name: str) -> str:
        """Return the URL of a path."""
        return f"{self.address}/{name}"


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            offset = int(self.headers.get("Range", "bytes=0-")[6:-1])
            server.asked.append((self.path[1:], offset))
            if self.path not in server.mirrors:
                self.send_error(404)
                return
            mirror = server.mirrors[self.path]
            if mirror.ranges and offset >= len(mirror.content):
                self.send_error(416)
                return
            body = mirror.content[offset:] if mirror.ranges else mirror.content
            self.send_response(206 if mirror.ranges else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(ConnectionError):  # the client may refuse the rest
                self.wfile.write(body[: mirror.breaks.pop(0)] if mirror.breaks else body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextmanager
def running_server() -> Iterator[Server]:
    """Serve at a free port of this machine until the block ends."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server = Server(f"http://127.0.0.1:{http.server_port}")
    http.RequestHandlerClass = _handler(server)
    thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
