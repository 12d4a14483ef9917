"""MCP's Streamable HTTP by hand, for tests that must see the head of an answer, or leave in the middle of one."""
import http.client
import json
import socket
import time

JSON, EVENTS = "application/json", "text/event-stream"


class Reply:
    """An answer as it comes: `head` is there, messages are read when asked for."""

    def __init__(self, stream, status, headers, file):
        self.stream, self.status, self.headers, self._file = stream, status, headers, file
        self.comments = 0

    @property
    def type(self):
        return self.headers.get("content-type")

    def body(self):
        return self._file.read(int(self.headers["content-length"]))

    def json(self):
        assert self.type == JSON, (self.status, self.headers)
        return json.loads(self.body())

    def _line(self):
        """One line of the chunked stream, or None at its end."""
        while b"\n" not in self._rest:
            size = int(self._file.readline().split(b";")[0] or b"0", 16)
            if size == 0:
                return None
            self._rest += self._file.read(size)
            self._file.readline()
        line, self._rest = self._rest.split(b"\n", 1)
        return line.decode()

    _rest = b""

    def message(self):
        """The next message of a stream, or None when the server ended it."""
        data = []
        while (line := self._line()) is not None:
            if line.startswith(":"):
                self.comments += 1
            elif line.startswith("data: "):
                data.append(line[6:])
            elif not line and data:
                return json.loads("\n".join(data))
        return None

    def answer(self):
        """The answer to the request, however it is sent; messages before it are kept in `before`."""
        self.before = []
        if self.type == JSON:
            return self.json()
        while (message := self.message()) is not None:
            if "id" in message and "method" not in message:
                return message
            self.before.append(message)
        return None

    def close(self):
        self._file.close()
        self.stream.close()


class Streamable:
    """A client of one session. `where`: None for the home's address, or a path of a socket."""

    def __init__(self, home, token=None, agent="tests", where=None, timeout=20, **more):
        self.home, self.where, self.timeout = home, where, timeout
        self.session = None if token else home.api("POST", "/v1/sessions", {"agent": agent, **more}).json()
        self.token = token or self.session["token"]
        self.port = int(home.discovery()["url"].rsplit(":", 1)[1].strip("/"))
        self._next = 0

    def connect(self):
        stream = socket.socket(socket.AF_UNIX if self.where else socket.AF_INET)
        stream.settimeout(self.timeout)
        stream.connect(str(self.where) if self.where else ("127.0.0.1", self.port))
        return stream

    def head(self, method, body=b"", **headers):
        """The bytes of a request. A header given as None is left out."""
        lines = {"Host": f"127.0.0.1:{self.port}", "Authorization": f"Bearer {self.token}", "Accept": f"{JSON}, {EVENTS}",
                 "Content-Type": JSON if method == "POST" else None, "MCP-Protocol-Version": "2025-11-25",
                 "Content-Length": str(len(body)) if method == "POST" else None}
        lines.update({name.replace("_", "-"): value for name, value in headers.items()})
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
        return f"{method} /mcp HTTP/1.1\r\n{text}\r\n".encode() + body

    def ask(self, method="POST", message=b"", **headers):
        """Sends one request on a connection of its own; returns once the head of the answer is there."""
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        stream = self.connect()
        stream.sendall(self.head(method, body, **headers))
        return self.read(stream)

    @staticmethod
    def read(stream, file=None):
        file = file or stream.makefile("rb")
        status = file.readline().split()
        assert status, "the connection was closed without an answer"
        found = http.client.parse_headers(file)
        return Reply(stream, int(status[1]), {name.lower(): value for name, value in found.items()}, file)

    def message(self, method, params=None):
        self._next += 1
        return {"jsonrpc": "2.0", "id": self._next, "method": method, **({} if params is None else {"params": params})}

    def request(self, method, params=None, **headers):
        return self.ask("POST", self.message(method, params), **headers)

    def start(self, name, arguments=None, token=None):
        """Begins a call; the reply has its head already."""
        params = {"name": name, "arguments": arguments or {}}
        if token is not None:
            params["_meta"] = {"progressToken": token}
        return self.request("tools/call", params)

    def call(self, name, arguments=None):
        return self.start(name, arguments).answer()["result"]

    def notify(self, method, params=None):
        return self.ask("POST", {"jsonrpc": "2.0", "method": method, "params": params or {}}).status

    def tools(self):
        return {tool["name"]: tool for tool in self.request("tools/list").json()["result"]["tools"]}


def elapsed(since):
    return time.monotonic() - since
