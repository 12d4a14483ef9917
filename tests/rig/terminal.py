"""A command on a pseudo-terminal of its own, as a person at a keyboard has it: what is shown, what is typed, whether it echoes."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from . import paths

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """`aileron ARGS` in a session with this terminal as its controlling one. The first process stays a shell-like parent that only waits."""

    def __init__(self, environment, args, cwd="/", extra=None, columns=100, program=None):
        self.text, self.code, self.signal = "", None, None
        self.at = 0
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
            for fd in (0, 1, 2):
                os.dup2(self.slave, fd)
            os.closerange(3, 256)
            os.chdir(cwd)
            program = str(program or paths.CLI)
            os.execve(program, [program, *[str(arg) for arg in args]], {**environment, "TERM": "dumb", **(extra or {})})

    def _read(self, timeout):
        ready, _, _ = select.select([self.master], [], [], timeout)
        if not ready:
            return False
        try:
            part = os.read(self.master, 65536)
        except OSError:
            return False
        self.text += ESCAPES.sub("", part.decode("utf-8", "replace")).replace("\r\n", "\n")
        return bool(part)

    def expect(self, wanted, timeout=20):
        """Waits until `wanted` was shown behind what was expected before; everything up to its end."""
        deadline = time.monotonic() + timeout
        while True:
            found = self.text.find(wanted, self.at)
            if found >= 0:
                start, self.at = self.at, found + len(wanted)
                return self.text[start:self.at]
            if time.monotonic() > deadline or (not self._read(0.1) and self._ended()):
                raise AssertionError(f"{wanted!r} was not shown: {self.text[self.at:]!r}")

    def send(self, text):
        os.write(self.master, text.encode() if isinstance(text, str) else text)

    def line(self, text):
        self.send(text + "\n")

    def echoes(self):
        return bool(termios.tcgetattr(self.slave)[3] & termios.ECHO)

    def is_restored(self):
        """The terminal's settings are what they were before the command began."""
        return termios.tcgetattr(self.slave) == self.before

    def wait_state(self, letter, timeout=10):
        """Waits until the process is in that state ("T": stopped)."""
        deadline = time.monotonic() + timeout
        while True:
            with open(f"/proc/{self.pid}/stat", encoding="utf-8") as file:
                state = file.read().rsplit(")", 1)[1].split()[0]
            if state == letter:
                return
            assert time.monotonic() < deadline, f"state {state} instead of {letter}"
            time.sleep(0.02)

    def _ended(self):
        if self.code is None and self.signal is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._note(status)
        return self.code is not None or self.signal is not None

    def _note(self, status):
        if os.WIFSIGNALED(status):
            self.signal = os.WTERMSIG(status)
        else:
            self.code = os.WEXITSTATUS(status)

    def wait(self, timeout=30):
        """The exit code (128 + signal as a shell says it); everything shown is in .text."""
        deadline = time.monotonic() + timeout
        while not self._ended():
            self._read(0.05)
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise AssertionError(f"still running: {self.text!r}")
        while self._read(0.05):
            pass
        return self.code if self.code is not None else 128 + self.signal

    def close(self):
        if not self._ended():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.code = -1
        for fd in (self.master, self.slave):
            os.close(fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
