"""A hostile provider: a TLS server on loopback that answers by script.

What it does is chosen by the request's path (`/do/NAME/ARG…`, the table
`BEHAVIOURS`) or, for hosts with `script(host, …)`, by the next line of that
host's script; with an empty script such a host passes the request on to an
upstream HTTP port. Everything asked is in `seen`, headers and body included,
so a test asserts on what a server saw and not on what a client says.

It speaks HTTP by hand, because a library would refuse to be this rude.
"""
import dataclasses
import gzip
import http.client
import json
import socket
import ssl
import struct
import threading
import time
import urllib.parse

HOSTS = ["evil.test", "other.test", "elsewhere.test", "slow.test", "private.test", "gmail.googleapis.com",
         "www.googleapis.com", "oauth2.googleapis.com"]
MIB = 1024 * 1024
# The emulator has these elsewhere than Google.
UPSTREAM_PATHS = {"/token": "/oauth2/token", "/revoke": "/oauth2/revoke"}


@dataclasses.dataclass
class Seen:
    connection: int
    port: int
    sni: str
    method: str
    target: str
    headers: list
    body: bytes
    at: float = dataclasses.field(default_factory=time.monotonic)

    def header(self, name):
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) <= 1, f"{name} was sent {len(values)} times"
        return values[0] if values else None

    @property
    def path(self):
        return urllib.parse.urlsplit(self.target).path

    @property
    def query(self):
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.target).query))


class Connection:
    """One accepted connection while an answer is written to it."""

    def __init__(self, server, stream, number, sni):
        self.server, self.stream, self.number, self.sni = server, stream, number, sni
        self.buffer = b""
        self.keep = True

    def send(self, data):
        self.stream.sendall(data)

    def answer(self, status, body=b"", headers=(), reason="Scripted"):
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers = [("Content-Type", "application/json"), *headers]
        head = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}"] + [f"{k}: {v}" for k, v in headers]
        self.send("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body)

    def head(self, *lines):
        self.send("\r\n".join(["HTTP/1.1 200 OK", *lines]).encode("latin-1") + b"\r\n\r\n")

    def chunk(self, data):
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def reset(self):
        """Ends with a RST instead of a FIN."""
        self.keep = False
        raw = self.server.raw_of(self.stream)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()

    def close(self):
        self.keep = False

    def pause(self, seconds):
        """Sleeps, but not past the end of the tests."""
        if self.server.stopping.wait(seconds):
            raise OSError("stopping")

    def _fill(self):
        data = self.stream.recv(65536)
        if not data:
            raise EOFError
        self.buffer += data

    def read_request(self):
        while b"\r\n\r\n" not in self.buffer:
            self._fill()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines]
        length = int(next((value for key, value in headers if key.lower() == "content-length"), 0))
        if any(key.lower() == "expect" for key, _ in headers):
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(self.buffer) < length:
            self._fill()
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return Seen(self.number, self.server.port, self.sni, method, target, headers, body)


BEHAVIOURS = {}


def behaviour(function):
    BEHAVIOURS[function.__name__] = function
    return function


@behaviour
def ok(c, r):
    c.answer(200, {"ok": True, "path": r.path, "method": r.method})


@behaviour
def status(c, r, code, retry_after=None):
    headers = [("Retry-After", retry_after)] if retry_after else []
    c.answer(int(code), {"error": {"code": int(code), "message": "provider text that must not be trusted",
                                   "status": "SCRIPTED"}}, headers)


@behaviour
def echo(c, r):
    """Everything the server was sent, the credential included, in body and headers."""
    body = {"method": r.method, "target": r.target, "headers": r.headers, "body": r.body.decode("latin-1")}
    authorization = r.header("authorization") or "none"
    c.answer(200, body, [("X-Echo", authorization), ("X-Token", authorization.split(" ")[-1])])


@behaviour
def echo_split(c, r):
    """The credential cut in two by a chunk border, so that masking chunk by chunk would miss it."""
    text = (r.header("authorization") or "none").encode()
    c.head("Transfer-Encoding: chunked")
    for part in (b"before ", text[:len(text) - 9], text[len(text) - 9:len(text) - 4], text[len(text) - 4:], b" after", b""):
        c.chunk(part)
        time.sleep(0.02)


@behaviour
def echo_often(c, r, times):
    c.answer(200, (r.header("authorization") or "none").encode() * int(times))


@behaviour
def slow(c, r, seconds):
    c.pause(float(seconds))
    ok(c, r)


@behaviour
def hang(c, r):
    """Takes the request and never answers."""
    c.pause(600)


@behaviour
def drip(c, r):
    c.head("Content-Length: 1000000")
    while True:
        c.send(b"x")
        c.pause(0.1)


@behaviour
def drip_headers(c, r):
    c.send(b"HTTP/1.1 200 OK\r\n")
    for i in range(10_000):
        c.send(b"X-Drip-%d: y\r\n" % i)
        c.pause(0.1)


@behaviour
def endless(c, r):
    c.head("Transfer-Encoding: chunked")
    block = b"e" * 65536
    while True:
        c.chunk(block)


@behaviour
def endless_identity(c, r):
    c.head("Connection: close")
    while True:
        c.send(b"e" * 65536)


@behaviour
def endless_headers(c, r):
    c.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        c.send(b"X-More: " + b"h" * 1000 + b"\r\n")


@behaviour
def endless_continue(c, r):
    while True:
        c.send(b"HTTP/1.1 100 Continue\r\n\r\n")


@behaviour
def big(c, r, size):
    c.answer(200, b"b" * int(size))


@behaviour
def big_chunked(c, r, size):
    c.head("Transfer-Encoding: chunked")
    left = int(size)
    while left:
        part = min(left, 65536)
        c.chunk(b"b" * part)
        left -= part
    c.chunk(b"")


@behaviour
def reset_early(c, r):
    c.reset()


@behaviour
def reset_mid(c, r):
    c.head("Content-Length: 100000")
    c.send(b"half")
    time.sleep(0.05)
    c.reset()


@behaviour
def close_early(c, r):
    c.close()


@behaviour
def close_mid(c, r):
    c.head("Content-Length: 100000")
    c.send(b"half")
    c.close()


@behaviour
def truncated_chunk(c, r):
    c.head("Transfer-Encoding: chunked")
    c.send(b"ffff\r\nonly this")
    c.close()


@behaviour
def bad_chunk(c, r):
    c.head("Transfer-Encoding: chunked")
    c.send(b"zz\r\nnot hexadecimal\r\n0\r\n\r\n")
    c.close()


@behaviour
def garbage(c, r):
    c.send(b"\x00\x01\x02 this is not HTTP\r\n\r\n" + bytes(range(256)))
    c.close()


@behaviour
def bad_status(c, r, code):
    c.send(f"HTTP/1.1 {code} Odd\r\nContent-Length: 0\r\n\r\n".encode())
    c.close()


@behaviour
def giant_header(c, r):
    c.head("X-Giant: " + "g" * MIB, "Content-Length: 0")


@behaviour
def many_headers(c, r, count):
    c.head(*(f"X-Header-{i}: {i}" for i in range(int(count))), "Content-Length: 0")


@behaviour
def length_twice(c, r):
    c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\nokokokoko")
    c.close()


@behaviour
def cookie(c, r):
    c.answer(200, {"cookie": r.header("cookie")}, [("Set-Cookie", "session=planted; Path=/"),
                                                    ("Set-Cookie", "other=planted; Domain=evil.test")])


@behaviour
def alt_svc(c, r):
    c.answer(200, {}, [("Alt-Svc", 'h3="elsewhere.test:443"; ma=86400, h2="elsewhere.test:443"'),
                       ("Strict-Transport-Security", "max-age=1")])


@behaviour
def redirect(c, r, code="302"):
    c.answer(int(code), b"", [("Location", r.query["to"])])


@behaviour
def redirect_to(c, r, to, code="302"):
    c.answer(int(code), b"", [("Location", to)])


@behaviour
def redirects(c, r, left, code="302"):
    """A chain of `left` redirects on this origin, then an echo."""
    if int(left):
        c.answer(int(code), b"", [("Location", f"/do/redirects/{int(left) - 1}/{code}")])
    else:
        echo(c, r)


@behaviour
def redirect_loop(c, r):
    c.answer(302, b"", [("Location", r.target)])


@behaviour
def redirect_without(c, r):
    c.answer(302, b"")


@behaviour
def gzip_bomb(c, r, mib):
    """A small body that a client which inflates would turn into `mib` MiB."""
    c.answer(200, gzip.compress(b"\0" * (int(mib) * MIB), 9), [("Content-Encoding", "gzip")])


@behaviour
def upgrade(c, r):
    c.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n" + b"z" * 1000)
    c.pause(1)
    c.close()


@behaviour
def message(c, r, name):
    """A small Gmail message."""
    headers = [{"name": "From", "value": "a@example.org"}, {"name": "Subject", "value": "Scripted"}]
    c.answer(200, {"id": name, "threadId": name, "snippet": "scripted", "labelIds": ["INBOX"],
                   "payload": {"mimeType": "text/plain", "headers": headers, "body": {"size": 0}}})


@behaviour
def tokens(c, r, access, refresh="", expires_in="3600"):
    """A token endpoint's answer; what is empty is left out."""
    body = {"access_token": access, "token_type": "Bearer", "refresh_token": refresh}
    if expires_in:
        body["expires_in"] = int(expires_in)
    c.answer(200, {key: value for key, value in body.items() if value != ""})


@behaviour
def late_tokens(c, r, seconds, access, refresh="", expires_in="3600"):
    c.pause(float(seconds))
    tokens(c, r, access, refresh, expires_in)


@behaviour
def oauth_error(c, r, error, status="400"):
    c.answer(int(status), {"error": error, "error_description": "provider text that must not be trusted"})


@behaviour
def text(c, r, status, body, kind="application/json"):
    """`body` as it is."""
    c.answer(int(status), body.encode(), [("Content-Type", kind)])


class Hostile:
    """`port` speaks TLS as any of HOSTS, `plain_port` the same without TLS, `expired_port` with a certificate of last week."""

    def __init__(self, folder, ca, upstream_port=None, hosts=HOSTS):
        self.upstream_port = upstream_port
        self.stopping = threading.Event()
        self.seen = []
        self.failures = []
        self._scripts = {}
        self._lock = threading.Lock()
        self._connections = 0
        self._listeners = []
        self.port = self._listen(self._context(ca, "hostile", hosts))
        self.expired_port = self._listen(self._context(ca, "expired", hosts, expired=True))
        self.wrong_port = self._listen(self._context(ca, "wrong", ["nobody.test"]))
        self.plain_port = self._listen(None)

    @staticmethod
    def _context(ca, label, hosts, expired=False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*ca.issue(label, hosts, expired))
        context.sni_callback = lambda stream, name, _: setattr(stream, "name_asked", name)
        return context

    def _listen(self, context):
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listeners.append(listener)
        threading.Thread(target=self._accept, args=(listener, context), daemon=True).start()
        return listener.getsockname()[1]

    def _accept(self, listener, context):
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(raw, context), daemon=True).start()

    def raw_of(self, stream):
        """The socket under a TLS stream, so that it can be reset."""
        if isinstance(stream, ssl.SSLSocket):
            return socket.socket(fileno=stream.detach())
        return stream

    def _serve(self, raw, context):
        raw.settimeout(60)
        try:
            stream = context.wrap_socket(raw, server_side=True) if context else raw
            sni = getattr(stream, "name_asked", None)
        except (OSError, ssl.SSLError):
            raw.close()
            return
        with self._lock:
            self._connections += 1
            connection = Connection(self, stream, self._connections, sni)
        try:
            while connection.keep and not self.stopping.is_set():
                request = connection.read_request()
                with self._lock:
                    self.seen.append(request)
                self._answer(connection, request)
                if (request.header("connection") or "").lower() == "close":
                    break
        except (OSError, EOFError, ssl.SSLError):
            pass  # the client went away, or we did so on purpose
        except Exception as error:  # noqa: BLE001 - a fault of the rig itself: told at the end of the test
            self.failures.append(repr(error))
        finally:
            try:
                stream.close()
            except OSError:
                pass

    def _answer(self, connection, request):
        host = (request.header("host") or "").split(":")[0]
        with self._lock:
            script = self._scripts.get((host, request.path)) or self._scripts.get((host, None))
            line = script.pop(0) if script else None
        if line is None and request.path.startswith("/do/"):
            line = request.path[len("/do/"):]
        if line is not None:
            name, *arguments = [urllib.parse.unquote(part) for part in line.split("/")]
            BEHAVIOURS[name](connection, request, *arguments)
        elif host.endswith(".googleapis.com") and self.upstream_port:
            self._pass_on(connection, request)
        else:
            connection.answer(404, {"error": {"code": 404}})

    def _pass_on(self, connection, request):
        upstream = http.client.HTTPConnection("127.0.0.1", self.upstream_port, timeout=30)
        target = UPSTREAM_PATHS.get(request.target, request.target)
        skip = {"connection", "content-length", "transfer-encoding"}
        headers = {key: value for key, value in request.headers if key.lower() not in skip}
        upstream.request(request.method, target, request.body or None, headers)
        answer = upstream.getresponse()
        body = answer.read()
        connection.answer(answer.status, body, [("Content-Type", answer.getheader("content-type") or "text/plain")])
        upstream.close()

    def script(self, host, *lines, path=None):
        """The next requests to `host` (and `path`) are answered by these lines (`status/429/1`), one each."""
        with self._lock:
            self._scripts[host, path] = [*self._scripts.get((host, path), []), *lines]

    def forget(self):
        """Drops what of the scripts was not asked for."""
        with self._lock:
            self._scripts.clear()

    def mark(self):
        return len(self.seen)

    def since(self, mark, path=None):
        with self._lock:
            return [request for request in self.seen[mark:] if path is None or request.path == path]

    def connect_to(self, hosts=HOSTS):
        """Rows for `--dev-connect-to`."""
        return [f"{host}:443:127.0.0.1:{self.port}" for host in hosts]

    def stop(self):
        self.stopping.set()
        for listener in self._listeners:
            listener.close()
