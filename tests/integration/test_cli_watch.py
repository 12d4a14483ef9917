"""`aileron approval watch` on a terminal whose screen is read (pyte): what it shows, what its keys do, and that it leaves no trace."""
import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import termios
import time

import pyte
import pytest

from tests.conftest import make_probe_home
from tests.rig import paths
from tests.rig.gated import Session, approval, decide, effect, effects, install_gated, looking, wait_state
from tests.rig.terminal import Terminal
from tests.rig.vault import PASSPHRASE

FENCED = {"launched": True, "confinement": "fence"}
SETTLE = 0.6


@pytest.fixture(scope="module")
def home(built, probe_folder, hostile_server, ca):
    made = make_probe_home(probe_folder, hostile_server, ca)
    install_gated(made)
    yield made
    made.close()


@pytest.fixture
def session(home):
    made = Session(home, agent="claude", folder="/work/project", **FENCED)
    yield made
    for one in home.api("GET", "/v1/approvals?status=pending&limit=1000").json()["approvals"]:
        decide(home, one["id"], approved=False)


class Watch(Terminal):
    """The screen is what a terminal of this size would show now."""

    def __init__(self, home, *args, columns=100, rows=40, program=None):
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.alternate = False
        super().__init__(home.environment, args or ("approval", "watch"), cwd=home.base, columns=columns, extra={"TERM": "xterm"},
                         program=program)
        if rows != 40:
            self.resize(columns, rows)

    def _read(self, timeout):
        ready, _, _ = select.select([self.master], [], [], timeout)
        if not ready:
            return False
        try:
            part = os.read(self.master, 65536)
        except OSError:
            return False
        self.text += part.decode("utf-8", "replace")
        if b"\x1b[?1049h" in part or b"\x1b[?1049l" in part:
            self.alternate = part.rfind(b"\x1b[?1049h") > part.rfind(b"\x1b[?1049l")
        self.stream.feed(part)
        return bool(part)

    def resize(self, columns, rows):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)
        os.kill(self.pid, signal.SIGWINCH)

    def shows(self, *wanted, timeout=10):
        end = time.monotonic() + timeout
        while True:
            over = time.monotonic() > end or self._ended()  # before the last look
            while self._read(0):
                pass
            text = "\n".join(self.screen.display)
            if all(word in text for word in wanted):
                return text
            assert not over, f"{wanted} not on the screen:\n{text}"
            self._read(0.05)

    def shows_not(self, word, timeout=10):
        end = time.monotonic() + timeout
        while True:
            while self._read(0):
                pass
            text = "\n".join(self.screen.display)
            if word not in text:
                return text
            assert time.monotonic() < end, f"{word} still on the screen:\n{text}"
            self._read(0.05)

    def settled(self):
        time.sleep(SETTLE)
        self.shows("")

    def leave(self):
        self.send("q")
        assert self.wait() == 0, self.text
        assert self.is_restored() and not self.alternate and "\x1b[?25h" in self.text


def test_new_ones_appear_and_a_approves(home, session, hostile):
    mark = hostile.mark()
    with Watch(home) as watch:
        watch.shows("0 wait for you", "Nothing waits for you")
        ident = session.ask("gated", effect("key a"))
        watch.shows("1 waits for you", "COMMS SEND", "Gated", "claude", ident[-8:], "Exact arguments", "▸")
        watch.settled()
        watch.send("a")
        watch.shows("Gated: done", "0 wait for you")
        assert effects(hostile, mark) == ["key a"] and approval(home, ident)["state"] == "completed"
        watch.leave()


def test_d_denies_with_a_reason(home, session, hostile):
    mark = hostile.mark()
    ident = session.ask("gated", effect("key d"))
    with Watch(home) as watch:
        watch.shows(ident[-8:])
        watch.settled()
        watch.send("d")
        watch.shows("Reason, for the agent")
        assert watch.echoes()
        watch.line("not on a Sunday")
        watch.shows("0 wait for you", "denied")
        assert approval(home, ident)["reason"] == "not on a Sunday" and not effects(hostile, mark)
        kept = session.ask("gated", effect("kept"))
        watch.shows(kept[-8:])
        watch.settled()
        watch.send("d")
        watch.shows("Reason, for the agent")
        watch.send("\x04")
        watch.shows("not denied", "1 waits for you")
        assert approval(home, kept)["state"] == "pending"
        watch.leave()


def test_j_and_k_choose(home, session, hostile):
    mark = hostile.mark()
    first, second, third = [session.ask("gated", effect(f"choice {i}")) for i in range(3)]
    with Watch(home) as watch:
        text = watch.shows("3 wait for you")
        assert text.index(third[-8:]) < text.index(second[-8:]) < text.index(first[-8:]) and f"▸ {third[-8:]}" in text
        watch.send("j")
        watch.shows(f"▸ {second[-8:]}")
        watch.send("\x1b[B")
        watch.shows(f"▸ {first[-8:]}")
        watch.send("k")
        watch.shows(f"▸ {second[-8:]}")
        session.ask("gated", effect("choice 4"))  # what comes does not move the choice
        watch.shows("4 wait for you", f"▸ {second[-8:]}")
        watch.settled()
        watch.send("a")
        wait_state(home, second, "completed")
        assert effects(hostile, mark) == ["choice 1"]
        watch.leave()


def test_decided_elsewhere_vanishes(home, session, hostile):
    ident = session.ask("gated", effect("elsewhere"))
    with Watch(home) as watch:
        watch.shows(ident[-8:])
        decide(home, ident, approved=False)
        watch.shows("0 wait for you", "Gated: denied")
        watch.send("a")  # nothing is there to decide
        watch.leave()


def test_what_has_only_just_come_is_not_approved(home, session, hostile):
    mark = hostile.mark()
    with Watch(home) as watch:
        watch.shows("Nothing waits")
        ident = session.ask("gated", effect("hasty"))
        watch.shows(ident[-8:])
        watch.send("a")
        watch.shows("only just come")
        watch.settled()
        watch.send("aaa\n")  # a paste
        watch.shows("several keys at once decide nothing")
        assert approval(home, ident)["state"] == "pending" and not effects(hostile, mark)
        watch.leave()


def test_what_was_not_seen_takes_a_second_key(home, session, hostile):
    mark = hostile.mark()
    ident = session.ask("gated", {**effect("long"), "note": "\n".join(f"line {i}" for i in range(100))})
    with Watch(home) as watch:
        watch.shows(ident[-8:], "more lines below")
        watch.settled()
        watch.send("a")
        watch.shows("not all of it was shown")
        assert not effects(hostile, mark)
        watch.send("s")
        watch.shows_not("▸")
        for _ in range(20):
            watch.send(" ")
            time.sleep(0.05)
        watch.shows_not("more lines below")
        watch.shows("Seal")
        watch.send("a")
        watch.shows("Gated: done")
        assert effects(hostile, mark) == ["long"]
        watch.leave()


def test_a_change_is_shown_and_nothing_was_done(home, session, hostile):
    mark = hostile.mark()
    hostile.script("evil.test", *["text/200/one"], path="/look")
    ident = session.ask("gated-seen", looking("watched"))
    with Watch(home) as watch:
        watch.shows(ident[-8:])
        watch.settled()
        hostile.script("evil.test", "text/200/two", "text/200/two", path="/look")
        watch.send("a")
        watch.shows("This changed since it was asked")
        assert not effects(hostile, mark)
        watch.settled()
        watch.send("s")
        watch.shows("Seal")
        watch.send("a")
        watch.shows("Gated seen: done")
        assert effects(hostile, mark) == ["watched"]
        watch.leave()


def test_the_passphrase_is_asked_for(home, session, hostile):
    mark = hostile.mark()
    ident = Session(home, agent="stranger").ask("gated", effect("proved here"))
    with Watch(home) as watch:
        watch.shows(ident[-8:], "takes the vault's passphrase")
        watch.settled()
        watch.send("a")
        watch.shows("Vault passphrase")
        assert not watch.echoes()
        watch.line("wrong")
        watch.shows("wrong")
        time.sleep(1.5)
        watch.shows("Vault passphrase")
        watch.line(PASSPHRASE)
        watch.shows("Gated: done", timeout=20)
        assert effects(hostile, mark) == ["proved here"] and PASSPHRASE not in watch.text
        watch.leave()


def test_an_unknown_outcome_is_resolved(home, session, hostile):
    hostile.script("evil.test", "reset_early", path="/do/echo")
    ident = session.ask("gated", effect("lost"))
    with Watch(home) as watch:
        watch.shows(ident[-8:])
        watch.settled()
        watch.send("a")
        watch.shows("OUTCOME UNKNOWN")
        watch.settled()
        watch.send("r")
        watch.shows("resolved")
        assert approval(home, ident)["resolved_at"]
        watch.shows_not("OUTCOME UNKNOWN")
        watch.leave()


@pytest.mark.parametrize("number,expected", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131)])
def test_every_end_restores_the_terminal(home, session, number, expected):
    with Watch(home) as watch:
        watch.shows("Nothing waits")
        assert watch.alternate and not watch.is_restored()
        if number == signal.SIGINT:
            watch.send("\x03")
        else:
            os.kill(watch.pid, number)
        assert watch.wait() == expected
        assert watch.is_restored() and not watch.alternate and watch.text.rstrip().endswith("\x1b[?25h\x1b[?1049l")


def test_ctrl_z_and_fg(home, session):
    with Watch(home, "-c", f"set -m; {paths.CLI} approval watch; echo stopped; read; fg; echo ended $?", program="/bin/bash") as watch:
        watch.shows("Nothing waits")
        watch.send("\x1a")
        watch.shows("stopped")
        assert watch.is_restored() and not watch.alternate
        watch.line("")
        watch.text = ""
        end = time.monotonic() + 10
        while "Nothing waits" not in watch.text and time.monotonic() < end:
            watch._read(0.1)
        assert watch.alternate and not watch.is_restored()
        watch.send("q")
        watch.shows("ended 0")
        assert watch.is_restored() and not watch.alternate


def test_narrow_and_resized(home, session, hostile):
    ident = session.ask("gated", {**effect("narrow"), "note": "word " * 200})
    with Watch(home, columns=24, rows=10) as watch:
        watch.shows("1 waits")
        for columns, rows in ((20, 7), (160, 50), (33, 12), (80, 24), (5, 3), (80, 24)):
            watch.resize(columns, rows)
            time.sleep(0.1)
            watch.shows("Aile" if columns == 5 else "1 waits")
        watch.shows("1 waits for you", ident[-8:])
        watch.leave()


def test_the_daemon_goes_and_comes(home, session, hostile):
    mark = hostile.mark()
    ident = session.ask("gated", effect("restarted"))
    with Watch(home) as watch:
        watch.shows(ident[-8:])
        home.stop()
        watch.shows("the daemon does not answer; trying again")
        watch.settled()
        watch.send("a")
        watch.shows("the daemon does not answer")
        home.start()
        watch.shows("1 waits for you", ident[-8:])
        watch.settled()
        watch.send("a")
        watch.shows("Gated: done", timeout=20)
        assert effects(hostile, mark) == ["restarted"]
        watch.leave()


def test_hostile_text_stays_text(home, session):
    ident = session.ask("gated", {**effect("evil"), "note": "\x1b[2J\x1b]0;title\x07\u202eevil\u009b31m"})
    with Watch(home) as watch:
        watch.shows(ident[-8:], "⟨U+001B⟩[2J", "⟨U+202E⟩evil")
        watch.leave()
        assert "\x1b]0;" not in watch.text and "\u202e" not in watch.text and "\u009b" not in watch.text


def test_without_a_terminal_lines_come(home, session, hostile):
    process = subprocess.Popen([str(paths.CLI), "approval", "watch"], env=home.environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert "deciding needs a terminal" in read_past(process.stderr, "terminal")
        ident = session.ask("gated", effect("piped"))
        line = process.stdout.readline()
        assert ident[-8:] in line and "waiting for you" in line and f"/approvals/{ident}" in line and "\x1b" not in line
        decide(home, ident, approved=False)
        assert "denied" in process.stdout.readline()
    finally:
        process.kill()
        process.wait()


def read_past(stream, word):
    while word not in (line := stream.readline()):
        assert line
    return line


def test_a_terminal_that_cannot_be_drawn_on_gets_lines(home, session):
    ident = session.ask("gated", effect("dumb"))
    with Terminal(home.environment, ("approval", "watch"), cwd=home.base) as terminal:  # TERM=dumb
        terminal.expect("deciding needs a terminal")
        terminal.expect(ident[-8:])
        terminal.send("\x03")
        assert terminal.wait() == 130 and "\x1b" not in terminal.text


def test_json_lines(home, session):
    ident = session.ask("gated", effect("json"))
    process = subprocess.Popen([str(paths.CLI), "approval", "watch", "--json"], env=home.environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert json.loads(process.stdout.readline())["id"] == ident
        decide(home, ident, approved=False)
        assert json.loads(process.stdout.readline())["state"] == "denied"
    finally:
        process.kill()
        process.wait()


def test_a_locked_vault_is_told(home, session, hostile):
    mark = hostile.mark()
    ident = session.ask("gated", effect("held"))
    with Watch(home) as watch:
        watch.shows(ident[-8:])
        watch.settled()
        home.cli("vault", "lock", check=0)
        watch.send("a")
        watch.shows("as soon as the vault is open")
        home.unlock()
        watch.shows("Gated: done")
        assert effects(hostile, mark) == ["held"]
        watch.leave()


# ---- sessions watch


def test_sessions_come_and_go_on_the_screen(home, session):
    with Watch(home, "sessions", "watch", columns=160) as watch:
        watch.shows("SESSION", "claude", "fence", "open")
        mine = Session(home, agent="newcomer", folder="/work/new")
        watch.shows("newcomer", "/work/new")
        home.api("POST", f"/v1/sessions/{mine.id}/end")
        watch.shows("ended")
        watch.resize(30, 8)
        watch.shows("Aileron · ")
        watch.resize(100, 20)
        home.stop()
        watch.shows("the daemon does not answer; trying again")
        home.start()
        watch.shows("open")
        watch.leave()


def test_sessions_as_lines(home, session):
    process = subprocess.Popen([str(paths.CLI), "sessions", "watch"], env=home.environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        while session.id not in (line := process.stdout.readline()):
            assert "open" in line
        mine = Session(home, agent="p\u0430ypal", folder="/a\u202eb")
        line = process.stdout.readline()
        assert mine.id in line and "open" in line and "⟨U+0430⟩" in line and "/a⟨U+202E⟩b" in line and "\u202e" not in line
        home.api("POST", f"/v1/sessions/{mine.id}/end")
        line = process.stdout.readline()
        assert mine.id in line and "ended" in line
    finally:
        process.kill()
        process.wait()
    shown = home.cli("sessions", "get", session.id, check=0).out
    assert "fence" in shown and "claude" in shown
