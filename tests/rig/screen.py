"""A program on a pseudo-terminal whose screen is read: full-screen agents, and a shell in which a person types.

A thread reads all the time, as a terminal does: programs never wait for us, and their questions to the terminal (where the cursor
is, what it can do) are answered. `Screen.shown()` is what a person sees now; `Shell` knows which output belongs to which command.
"""
import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import threading
import time

import pyte

# Sequences with a private mark that the emulator does not know (keyboard protocols, versions), and window titles.
UNKNOWN = re.compile(r"\x1b\[[<>=][0-9;]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[PX^_][^\x1b]*\x1b\\|\x1b\[[0-9;]*u|\x1b\[\?[0-9;]*\$p")
ESCAPES = re.compile(r"\x1b\[[0-9;?<>=]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][0AB]|\x1b[78=>]|[\x0e\x0f]")
# The beginning of a sequence whose end has not come yet.
TORN = re.compile(r"\x1b(?:\[[0-9;?<>=]*|\][^\x07\x1b]*\x1b?|[()])?\Z")


class _Emulator(pyte.Screen):
    """Answers on `master` what the program asks its terminal."""

    def __init__(self, columns, rows, master):
        super().__init__(columns, rows)
        self._master = master

    def write_process_input(self, data):
        try:
            os.write(self._master, data.encode())
        except OSError:
            pass


class Screen:
    def __init__(self, program, args, environment, cwd, columns=120, rows=50):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for fd in (0, 1, 2):
                os.dup2(slave, fd)
            os.closerange(3, 256)
            os.chdir(cwd)
            os.execve(str(program), [str(program), *map(str, args)], {**environment, "TERM": "xterm-256color"})
        os.close(slave)
        self.text = ""  # everything that was shown, without escapes
        self._emulator = _Emulator(columns, rows, self.master)
        self._stream = pyte.Stream(self._emulator)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._lock, self._torn, self._closed, self._status = threading.Lock(), "", False, None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while not self._closed:
            try:
                if not select.select([self.master], [], [], 0.1)[0]:
                    continue
                part = os.read(self.master, 65536)
            except (OSError, ValueError):
                return
            if not part:
                return
            with self._lock:
                self._take(self._torn + self._decode(part))

    def _take(self, text):
        torn = TORN.search(text)
        self._torn = text[torn.start():] if torn else ""
        text = text[:torn.start()] if torn else text
        self.text += ESCAPES.sub("", text).replace("\r\n", "\n")
        self._stream.feed(UNKNOWN.sub("", text))

    # --- what is seen

    def shown(self):
        """The lines on the screen now, trailing blanks cut."""
        with self._lock:
            return "\n".join(line.rstrip() for line in self._emulator.display).rstrip("\n")

    def until(self, condition, what, timeout=60):
        """Waits for condition(), which looks at shown() or elsewhere; fails with the picture."""
        deadline = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            assert time.monotonic() < deadline and not self.ended(), f"{what}: not within {timeout} s. The screen:\n{self.shown()}"
            time.sleep(0.05)

    def wait_shown(self, words, timeout=60):
        return self.until(lambda: words in self.shown(), f"{words!r} on the screen", timeout)

    def echoes(self):
        return bool(termios.tcgetattr(self.master)[3] & termios.ECHO)

    # --- what is typed

    def send(self, text):
        os.write(self.master, text.encode())

    def type(self, text):
        """Key by key: what comes at once is taken for something pasted."""
        for key in text:
            self.send(key)
            time.sleep(0.02)

    # --- the end

    def ended(self):
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = status if pid else None
        return self._status is not None

    def close(self):
        """Hangs up, as a closed window does."""
        self._closed = True
        self._reader.join(2)
        os.close(self.master)
        deadline = time.monotonic() + 10
        while not self.ended() and time.monotonic() < deadline:
            time.sleep(0.05)
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
