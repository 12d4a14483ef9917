"""A broker whose keeper is the test itself (src/broker/puppet-keeper.c): every frame of the channel is seen, answered or held here.

Only for what the broker makes of a keeper's words; that a real keeper says them is tested with the real one.
"""
import json
import mmap
import os
import queue
import socket
import struct
import subprocess
import threading

from tests.rig import paths
from tests.rig.home import Home
from tests.rig.ports import wait_for

PUPPET = paths.BUILD / "src/broker/puppet-keeper"
HEADER = struct.Struct("=HHIII")
WIRE_VERSION, PROTOCOL_VERSION = 1, 2
(HELLO, CONFIGURE, GET_STATE, STATE, HTTP, HTTP_RESULT, HTTP_CANCEL, EVENT, EVENT_WRITTEN, SIGN_HEAD, SIGNED, LOCK, REVOKE,
 OAUTH_START, OAUTH_CALLBACK, SPEND_TICKET, LIST, LISTED, DONE) = range(1, 20)
MISSING, LOCKED, UNLOCKED = range(3)
(OK, FAILED, REFUSED, WRONG_PASSPHRASE, NO_LONGER_OPEN, NO_VAULT, EXISTS, NOT_FOUND, BUSY, DENIED, TIMED_OUT) = range(11)
HTTP_BINDING_FAILED = 4


def u8(value):
    return struct.pack("=B", value)


def u32(value):
    return struct.pack("=I", value)


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return u32(len(data)) + data


def blob(value):
    return u8(0) + text(value)


class Fields:
    """The body of a received frame, read in order."""

    def __init__(self, body, fds):
        self.body, self.fds = body, list(fds)

    def take(self, count):
        part, self.body = self.body[:count], self.body[count:]
        assert len(part) == count
        return part

    def u8(self):
        return self.take(1)[0]

    def u32(self):
        return struct.unpack("=I", self.take(4))[0]

    def u64(self):
        return struct.unpack("=Q", self.take(8))[0]

    def bytes(self):
        return self.take(self.u32())

    def text(self):
        return self.bytes().decode()

    def blob(self):
        if self.u8() == 0:
            return self.bytes()
        size, fd = self.u64(), self.fds.pop(0)
        try:
            return bytes(mmap.mmap(fd, size, prot=mmap.PROT_READ)) if size else b""
        finally:
            os.close(fd)


class Puppet:
    """One keeper: its channel, answered on a thread. `on[TYPE]` answers a request: None says nothing, else what done() makes."""

    def __init__(self, control, channel, listener, shown):
        self.control, self.channel, self.listener, self.shown = control, channel, listener, shown
        self.seen = queue.Queue()
        self.configured = []
        self.events = {}
        self._lock = threading.Lock()
        self.send(HELLO, 0, u32(PROTOCOL_VERSION) + u8(shown.state) + text("a puppet") + u8(0) + text(""))
        threading.Thread(target=self._serve, daemon=True).start()

    def send(self, kind, number, body=b""):
        with self._lock:
            self.channel.send(HEADER.pack(WIRE_VERSION, kind, number, len(body), 0) + body)

    def send_state(self):
        shown = self.shown
        key = bytes(range(32)) if shown.state == UNLOCKED else b""
        self.send(STATE, 0, u8(shown.state) + u8(shown.overrides) + text(key) + text(shown.degraded)
                  + blob(json.dumps(shown.bindings)))

    def done(self, number, result, message="", hint="", detail=""):
        self.send(DONE, number, u8(result) + text(message) + text(hint) + text(detail))

    def event(self, kind, payload, wait=False, number=0):
        self.send(EVENT, number, u8(wait) + text(kind) + text(json.dumps(payload)))

    def die(self):
        """As a crash: the program ends, and its channel with it."""
        self.channel.shutdown(socket.SHUT_RDWR)
        self.channel.close()
        self.listener.close()
        self.control.close()

    def _serve(self):
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self.channel, 1 << 17, 4)
            except OSError:
                return
            if not data:
                return
            _, kind, number, _, _ = HEADER.unpack(data[:HEADER.size])
            fields = Fields(data[HEADER.size:], fds)
            try:
                self._answer(kind, number, fields)
            except OSError:
                return

    def _answer(self, kind, number, fields):
        if kind == CONFIGURE:
            self.configured.append((fields.text(), fields.u32()))
        elif kind == GET_STATE:
            self.send_state()
        elif kind == EVENT_WRITTEN:
            self.events[number] = fields.u8()
        elif kind == SIGN_HEAD:
            self.send(SIGNED, number, u8(NO_LONGER_OPEN) + text(b""))
        elif kind == LIST:
            self.send(LISTED, number, blob(json.dumps(self.shown.entries)))
        elif kind in self.shown.on:
            answer = self.shown.on[kind](self, fields)
            if answer is not None:
                self.done(number, *answer)
        self.seen.put((kind, number))


class PuppetHome(Home):
    """A home without a CLI: the broker is started directly, with a puppet in the keeper's place at every start."""

    def __init__(self, state=UNLOCKED, bindings=(), entries=(), flags=(), prepare=None):
        super().__init__()
        self.state, self.overrides, self.degraded = state, False, ""
        self.bindings, self.entries, self.on, self.flags = list(bindings), list(entries), {}, list(flags)
        self.keepers = []
        self.path.mkdir(mode=0o700)
        if prepare:
            prepare(self.path)
        libexec = self.base / "libexec"
        libexec.mkdir()
        for name, program in (("aileron-keeper", PUPPET), ("aileron-worker", paths.WORKER)):
            (libexec / name).symlink_to(program)
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(self.path / "puppet.sock"))
        self._door.listen(8)
        threading.Thread(target=self._accept, daemon=True).start()
        self._broker = subprocess.Popen([paths.BROKER, "--home", self.path, "--libexec", libexec, *self.flags],
                                        env={"PATH": "/usr/bin:/bin"}, stdin=subprocess.DEVNULL)
        wait_for(lambda: (self.path / "daemon.json").exists() and self.api("GET", "/v1/health").status == 200, "the daemon")
        wait_for(lambda: self.keepers, "a keeper")
        self.remember()

    def _accept(self):
        while True:
            try:
                control, _ = self._door.accept()
                _, fds, _, _ = socket.recv_fds(control, 1, 2)
            except OSError:
                return
            channel, listener = (socket.socket(fileno=fd) for fd in fds)
            channel.setblocking(True)
            self.keepers.append(Puppet(control, channel, listener, self))

    @property
    def keeper(self):
        return self.keepers[-1]

    def tell(self, **changes):
        """New facts, told in a STATE."""
        for name, value in changes.items():
            setattr(self, name, value)
        self.keeper.send_state()

    def stop_broker(self):
        """Ends it as `daemon stop` does; its exit status."""
        self._broker.terminate()
        return self._broker.wait(10)

    def close(self):
        try:
            assert self.stop_broker() == 0
        finally:
            self._broker.kill()
            self._door.close()
            super().close()
