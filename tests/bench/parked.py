"""What ten thousand calls cost that wait for a person: the broker's memory, a page of the list, a decision, a start."""
import concurrent.futures
import pathlib
import re
import shutil
import time

from tests.rig import paths
from tests.rig.crowd import Line, listed, park
from tests.rig.gated import Session
from tests.rig.home import Home, credential

NOOP = paths.BUILD / "connectors/noop"
SESSIONS, DECISIONS, PAGE = 8, 200, 200
TEXT = "Dear Ann, the figures that you asked for are below; please look at the third column before Friday. " * 4


def private_mib(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(value) for value in re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+) kB", text, re.M)) / 1024


def install(home, folder):
    """The no-op connector, and its echo as something that a person must approve."""
    work = folder / "parked"
    shutil.copytree(NOOP, work, ignore=shutil.ignore_patterns("*.p"))
    manifest = work / "manifest.toml"
    manifest.write_text(manifest.read_text().replace("@@HOST@@", "127.0.0.1:1"))
    home.cli("connector", "install", "--local", work, "--name", "local://parked", check=0)
    text = (NOOP / "actions/echo.md").read_text().replace('name = "echo"', 'name = "gated-echo"', 1)
    text = re.sub(r"^(idempotent|read_only) = \w+\n", "", text, flags=re.M)
    head, tail = text.rsplit("\n+++\n", 1)
    path = folder / "gated-echo.md"
    path.write_text(f"{head}\n\n[approval]\nrequired = true\n+++\n{tail}")
    home.cli("action", "add", "--local", path, "--bind", "FQN=local://parked", check=0)


def milliseconds(function):
    began = time.perf_counter()
    function()
    return (time.perf_counter() - began) * 1000


def check(answer, *statuses):
    if answer[0] not in statuses:
        raise RuntimeError(f"the broker answered {answer}")


def decisions(home, idents, approved):
    """Milliseconds of each, one after the other."""
    line = Line(home)
    return [milliseconds(lambda ident=ident: check(line.ask("POST", f"/v1/approvals/{ident}/decide", {"approved": approved}), 200))
            for ident in idents]


def start(home):
    """Milliseconds from a stopped daemon to its first answer."""
    home.stop()
    return milliseconds(lambda: (home.cli("daemon", "start", check=0), home.api("GET", "/v1/health")))


def percentile(values, percent):
    return sorted(values)[(len(values) - 1) * percent // 100]


def measure(figures, folder, count, append_ms):
    """`append_ms`: gives milliseconds that a write and fdatasync of one line take."""
    shown = f"{count:,}"
    home = Home([credential("api_key/bench/me", "local://parked", ["http://127.0.0.1:1"], "bench-" + "k" * 34)])
    try:
        home.start()
        install(home, folder)
        home.cli("config", "set", "approval.confirm", "never", check=0)
        home.cli("config", "set", "approval.max_pending", str(count), check=0)
        empty, bare = private_mib(home.pid()), append_ms()
        sessions = [Session(home, agent=f"agent-{number}") for number in range(SESSIONS)]
        few = decisions(home, park(home, sessions[0], "gated-echo", [{"text": TEXT, "number": -number} for number in range(DECISIONS)]), False)
        with concurrent.futures.ThreadPoolExecutor(SESSIONS) as pool:
            began = time.perf_counter()
            parts = list(pool.map(lambda at: park(home, sessions[at], "gated-echo",
                                                  [{"text": TEXT, "number": number} for number in range(at + 1, count + 1, SESSIONS)]),
                                  range(SESSIONS)))
            seconds = time.perf_counter() - began
        figures.add(f"{shown} parked: broker, private memory", [private_mib(home.pid())], "MiB", "< 100", "before, with none", [empty])
        figures.add(f"parking them, {SESSIONS} agents at once", [count / seconds], "1/s", "", "1 / one line to disk", [1000 / bare])
        line = Line(home)
        page = [milliseconds(lambda: check(line.ask("GET", f"/v1/approvals?status=pending&limit={PAGE}"), 200)) for _ in range(20)]
        health = [milliseconds(lambda: check(line.ask("GET", "/v1/health"), 200)) for _ in range(20)]
        figures.add(f"the first {PAGE} of them", page, "ms", "", "GET /v1/health", health)
        idents = [ident for part in parts for ident in part[:DECISIONS // SESSIONS]]
        denied = decisions(home, idents, False)
        figures.add("a decision among them: p50", [percentile(denied, 50)], "ms", "< 5", "with none parked", [percentile(few, 50)])
        figures.add("a decision among them: p99", [percentile(denied, 99)], "ms", "", "with none parked", [percentile(few, 99)])
        idents = [ident for part in parts for ident in part[-DECISIONS // SESSIONS:]]
        approved = decisions(home, idents, True)
        figures.add("an approval among them, until it runs: p50", [percentile(approved, 50)], "ms", "< 5", "one line to disk", [bare])
        figures.add(f"start to first answer with {shown} parked", [start(home) for _ in range(3)], "ms", "", "one line to disk", [bare])
        if len(listed(home, "pending")) != count - len(denied) - len(approved):
            raise RuntimeError("not all of them are there after the start")
    finally:
        home.close()
