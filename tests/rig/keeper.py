"""keeper.sock, spoken without a line of the program: the frames of docs/protocols.md over a SOCK_SEQPACKET socket.

    with Door(home.path / "keeper.sock") as door:
        door.unlock("correct horse battery staple")
        door.put("note", "a secret")

Each request returns a Done; `check=True` (the default) raises Failed when its result is not OK.
"""
import json
import socket
import struct

WIRE_VERSION, PROTOCOL_VERSION = 1, 2
HEADER = struct.Struct("=HHIII")
FRAME_BYTES = 64 * 1024

(OK, FAILED, REFUSED, WRONG_PASSPHRASE, LOCKED, MISSING, EXISTS, NOT_FOUND, BUSY, DENIED, TIMED_OUT) = range(11)
VAULT_MISSING, VAULT_LOCKED, VAULT_UNLOCKED = range(3)

(HELLO, CREATE, UNLOCK, CHANGE, TICKET, PUT, DELETE, BIND_KEY, REBIND, DEFAULT, OAUTH_BEGIN, OAUTH_AGAIN, OAUTH_PASTE, URL,
 PASTED, DONE) = range(64, 80)


class Failed(Exception):
    def __init__(self, done):
        super().__init__(f"result {done.result}: {done.message} ({done.hint})")
        self.done = done


class Closed(Exception):
    """The keeper ended the connection."""


class Done:
    def __init__(self, result, message, hint, detail=""):
        self.result, self.message, self.hint, self.detail = result, message, hint, detail

    def json(self):
        return json.loads(self.detail)

    def __repr__(self):
        return f"Done({self.result}, {self.message!r}, {self.hint!r}, {self.detail!r})"


def as_bytes(value):
    if isinstance(value, (dict, list)):
        value = json.dumps(value)
    return value.encode() if isinstance(value, str) else bytes(value)


def u8(value):
    return struct.pack("=B", value)


def data(value):
    """A text or bytes field."""
    value = as_bytes(value)
    return struct.pack("=I", len(value)) + value


class Fields:
    """The body of a frame, read in order."""

    def __init__(self, body):
        self.body, self.at = body, 0

    def take(self, form):
        (value,) = struct.unpack_from("=" + form, self.body, self.at)
        self.at += struct.calcsize("=" + form)
        return value

    def text(self):
        size = self.take("I")
        value = self.body[self.at:self.at + size]
        assert len(value) == size, "a field longer than its frame"
        self.at += size
        return value.decode()

    def end(self):
        assert self.at == len(self.body), "bytes left over"


class Door:
    def __init__(self, path, timeout=60, hello=True):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        self.socket.settimeout(timeout)
        self.last_id = 0
        try:
            self.socket.connect(str(path))
            if hello:
                self.greet()
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()

    def close(self):
        self.socket.close()

    # --- frames

    def greet(self):
        kind, _, fields = self.receive()
        assert kind == HELLO, kind
        assert fields.take("I") == PROTOCOL_VERSION
        self.state, self.vault_path = fields.take("B"), fields.text()
        fields.end()

    def send(self, kind, body=b""):
        self.last_id += 1
        self.send_raw(HEADER.pack(WIRE_VERSION, kind, self.last_id, len(body), 0) + body)
        return self.last_id

    def send_raw(self, packet):
        try:
            self.socket.send(packet)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed from error

    def receive(self):
        """(type, id, Fields); Closed at the end."""
        try:
            packet = self.socket.recv(FRAME_BYTES)
        except ConnectionResetError as error:
            raise Closed from error
        if not packet:
            raise Closed
        version, kind, number, length, fds = HEADER.unpack_from(packet)
        assert version == WIRE_VERSION and length == len(packet) - HEADER.size and fds == 0, (version, length, fds)
        return kind, number, Fields(packet[HEADER.size:])

    def read_done(self, check=True):
        kind, number, fields = self.receive()
        assert kind == DONE, kind
        assert number == self.last_id, (number, self.last_id)
        done = Done(fields.take("B"), fields.text(), fields.text(), fields.text())
        fields.end()
        if check and done.result != OK:
            raise Failed(done)
        return done

    def ask(self, kind, body, check=True):
        self.send(kind, body)
        return self.read_done(check)

    # --- requests

    def create(self, passphrase, dev=False, check=True):
        return self.ask(CREATE, data(passphrase) + u8(dev), check)

    def unlock(self, passphrase, check=True):
        return self.ask(UNLOCK, data(passphrase), check)

    def change(self, old, new, check=True):
        return self.ask(CHANGE, data(old) + data(new), check)

    def ticket(self, passphrase, approval, seal, check=True):
        return self.ask(TICKET, data(passphrase) + data(approval) + data(seal), check)

    def put(self, path, value, type="", environment="", labels="", check=True):
        return self.ask(PUT, data(path) + data(value) + data(type) + data(environment) + data(labels), check)

    def delete(self, path, check=True):
        return self.ask(DELETE, data(path), check)

    def bind_key(self, spec, key, check=True):
        return self.ask(BIND_KEY, data(spec) + data(key), check)

    def rebind(self, spec, check=True):
        return self.ask(REBIND, data(spec), check)

    def default(self, binding, check=True):
        return self.ask(DEFAULT, data(binding), check)

    def _flow(self, kind, body):
        flow = self.send(kind, body)
        answer, number, fields = self.receive()
        assert number == flow
        if answer == DONE:
            raise Failed(Done(fields.take("B"), fields.text(), fields.text(), fields.text()))
        assert answer == URL, answer
        url = fields.text()
        fields.end()
        return url

    def oauth_begin(self, spec, client_secret=b""):
        """The URL to open. The flow's end is read by flow_end()."""
        return self._flow(OAUTH_BEGIN, data(spec) + data(client_secret))

    def oauth_again(self, binding, redirect_uri):
        return self._flow(OAUTH_AGAIN, data(binding) + data(redirect_uri))

    def paste(self, url):
        """None when the flow has taken it, else the Done of the refusal; the flow goes on then."""
        flow, self.last_id = self.last_id, self.last_id
        self.send_raw(HEADER.pack(WIRE_VERSION, OAUTH_PASTE, flow + 1, len(data(url)), 0) + data(url))
        kind, number, fields = self.receive()
        if kind == PASTED:
            assert number == flow + 1
            refusal = Done(fields.take("B"), fields.text(), fields.text())
            fields.end()
            return refusal
        assert kind == DONE and number == flow, (kind, number)
        self.ended = Done(fields.take("B"), fields.text(), fields.text(), fields.text())
        fields.end()
        return None

    def flow_end(self, check=True):
        """How the flow ended, whether it was the browser or a pasted URL that ended it."""
        if getattr(self, "ended", None):
            done, self.ended = self.ended, None
            if check and done.result != OK:
                raise Failed(done)
            return done
        return self.read_done(check)
