"""The figures of `make bench`: each budget of the design beside what the same thing costs without us, in the same run.

Prints a table on standard output (median of the rounds, and their spread) and, with --json FILE, the raw figures. The
exit code says whether everything could be measured, not whether a budget was met: the machine may be busy.
"""
import argparse
import concurrent.futures
import http.server
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from tests.bench import parked
from tests.rig import paths
from tests.rig.ca import CertificateAuthority
from tests.rig.home import Home, children_of, credential, program_of
from tests.rig.hostile import Hostile
from tests.rig.ports import free_port, wait_listening
from tests.rig.vault import oauth_value

NOOP = paths.BUILD / "connectors/noop"
LOAD = paths.BUILD / "tests/bench/load"
REFERENCE = paths.BUILD / "tests/bench/reference"
MCP_LOAD = paths.BUILD / "tests/bench/mcp-load"
NOTHING = paths.ROOT / "tests/bench/mcp-nothing.py"
SLOW_S = 0.3
STORM_CALLS = 100
STORM_HOST = "evil.test"
STORM_BINDING = "oauth2/storm/me"
API_KEY = """
[capabilities.credential]
kind = "api_key"
header = "Authorization"
format = "Bearer {key}"
"""
OAUTH = f"""
[capabilities.credential]
kind = "oauth2"

[capabilities.credential.oauth2]
authorize_url = "https://{STORM_HOST}/authorize"
token_url = "https://{STORM_HOST}/token"
client_id = "bench"
scopes = ["read"]
"""


class Figures:
    def __init__(self):
        self.rows = []

    def add(self, what, values, unit, budget, reference=None, reference_values=None):
        row = {"what": what, "median": statistics.median(values), "low": min(values), "high": max(values), "unit": unit,
               "budget": budget, "reference": reference,
               "reference_median": statistics.median(reference_values) if reference_values else None}
        self.rows.append(row)
        beside = f"{row['reference_median']:.4g} {unit} {reference}" if reference_values else (reference or "")
        spread = f"{row['low']:.4g}-{row['high']:.4g}"
        print(f"{what:<58} {row['median']:>9.4g} {unit:<6} {spread:<15} budget {budget:<22} | {beside}", flush=True)


def program(*command, environment=None):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False,
                          env=None if environment is None else {**os.environ, **environment})
    if done.returncode:
        raise RuntimeError(f"{command[0]}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def rounds(count, function):
    """The results of `function`, which gives a dict of numbers, as a dict of lists."""
    results = [function() for _ in range(count)]
    return {key: [result[key] for result in results] for key in results[0]}


class Web:
    """nginx on plain http with one fixed answer, for the cost of one GET."""

    def __init__(self, folder):
        self.port = free_port()
        config = folder / "bench-nginx.conf"
        config.write_text(f"daemon off; master_process off; pid {folder}/n.pid; error_log {folder}/n.err;\n"
                          "events { worker_connections 128; }\n"
                          f"http {{ access_log off; keepalive_requests 10000000; server {{ listen 127.0.0.1:{self.port};\n"
                          "location / { default_type text/plain; return 200 'hello'; } } }\n")
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        self.process = subprocess.Popen([nginx, "-p", folder, "-c", config, "-e", folder / "n.err"], stderr=subprocess.DEVNULL)
        wait_listening(self.port, self.process)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


class Slow(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        time.sleep(SLOW_S)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args):
        pass


def install(home, folder, host, name, more=""):
    """Installs the no-op connector with its host filled in and `more` in its manifest, under a local:// name of its own."""
    work = folder / name
    shutil.copytree(NOOP, work, ignore=shutil.ignore_patterns("*.p"))
    manifest = work / "manifest.toml"
    manifest.write_text(manifest.read_text().replace("@@HOST@@", host) + more)
    home.cli("connector", "install", "--local", work, "--name", f"local://{name}", check=0)


def add_action(home, folder, connector, original, name, idempotent=True):
    """One of the no-op connector's actions under a name of its own."""
    text = (NOOP / "actions" / f"{original}.md").read_text()
    text = text.replace(f'name = "{original}"', f'name = "{name}"', 1)
    text = re.sub(r"^(idempotent|read_only) = \w+\n", "", text, flags=re.M)
    if idempotent:
        text = text.replace("[[execute]]\n", "[[execute]]\nidempotent = true\n", 1)
    path = folder / f"{name}.md"
    path.write_text(text)
    home.cli("action", "add", "--local", path, "--bind", f"FQN=local://{connector}", check=0)


def session(home):
    answer = home.api("POST", "/v1/sessions", {"agent": "bench"})
    assert answer.status == 201, answer
    where = home.discovery()
    agent = pathlib.Path(where["socket"]).parent / "agent/agent.sock"
    return agent, answer.json()["token"]


def load(home, tool, arguments, clients, calls, *more):
    agent, token = session(home)
    return program(LOAD, agent, token, tool, json.dumps(arguments), clients, calls, *more)


def private_mib(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = sum(int(value) for value in re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+) kB", text, re.M))
    return kib / 1024


def wakeups(pids, seconds):
    """Voluntary context switches of the given processes over some idle seconds."""
    def switches():
        total = 0
        for pid in pids:
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.M).group(1))
        return total

    before = switches()
    time.sleep(seconds)
    return switches() - before


def measure_calls(figures, home, folder, n, calls):
    one = rounds(n, lambda: load(home, "noop", {}, 1, calls))
    bare = rounds(n, lambda: program(REFERENCE, "exchange", 20000))
    spawn = rounds(n, lambda: program(REFERENCE, "spawn", 300))
    figures.add("action call, no HTTP: p50", one["p50_us"], "us", "< 300", "a line to another process and back", bare["p50_us"])
    figures.add("action call, no HTTP: p99", one["p99_us"], "us", "< 2000", "fork and exec of /bin/true, p50", spawn["p50_us"])
    sync = rounds(n, lambda: load(home, "noop_once", {}, 1, calls // 4))
    append = rounds(n, lambda: program(REFERENCE, "append", folder / "append", 600, calls // 4, "sync"))
    figures.add("the same, waiting for fdatasync: p50", sync["p50_us"], "us", "< 800", "write and fdatasync of one line",
                append["p50_us"])
    many = rounds(n, lambda: load(home, "noop", {}, 16, calls * 4))
    figures.add("calls per second, 16 clients", many["calls_per_s"], "1/s", "> 4000", "1 / one exchange",
                [1e6 / value for value in bare["p50_us"]])


def measure_doors(figures, home, n, calls):
    """The same call over the relay and over HTTP, in pairs, beside a server on the official SDK that does nothing at all."""
    agent, token = session(home)
    given = {"AILERON_AGENT_SOCKET": str(agent), "AILERON_SESSION_TOKEN": token}
    port = home.discovery()["url"].rsplit(":", 1)[1].strip("/")
    nothing_port = free_port()
    nothing = subprocess.Popen([sys.executable, NOTHING, str(nothing_port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_listening(nothing_port, nothing)
    ours, theirs = {"http": [], "stdio": [], "first": []}, {"http": [], "stdio": [], "first": []}
    try:
        for _ in range(n):
            for found, http, stdio, many in ((ours, (port, token), (paths.RELAY,), calls // 2),
                                             (theirs, (nothing_port, "none"), (sys.executable, NOTHING), max(calls // 20, 20))):
                over_http = program(MCP_LOAD, "noop", many, "http", *http)
                over_stdio = program(MCP_LOAD, "noop", many, "stdio", *stdio, environment=given)
                found["http"].append(over_http["p50_us"])
                found["stdio"].append(over_stdio["p50_us"])
                found["first"].append(over_stdio["first_us"] / 1000)
    finally:
        nothing.terminate()
        nothing.wait(10)
    added = [stdio - http for stdio, http in zip(ours["stdio"], ours["http"])]
    figures.add("MCP call over HTTP: p50", ours["http"], "us", "", "a do-nothing server on the official SDK", theirs["http"])
    figures.add("MCP call over the relay: p50", ours["stdio"], "us", "", "a do-nothing server on the official SDK", theirs["stdio"])
    figures.add("the relay over HTTP: added p50", added, "us", "< 150", "the call over HTTP", ours["http"])
    figures.add("the relay's start to its greeting", ours["first"], "ms", "< 2", "a do-nothing server on the official SDK",
                theirs["first"])


def measure_get(figures, home, web, n, calls):
    url = f"http://127.0.0.1:{web.port}/"
    ours = rounds(n, lambda: load(home, "fetch", {"url": url}, 1, calls // 2))
    bare = rounds(n, lambda: program(REFERENCE, "get", url, calls))
    added = [a - b for a, b in zip(ours["p50_us"], bare["p50_us"])]
    figures.add("action call with one GET, over the bare GET: added p50", added, "us", "< 500", "the bare GET (libcurl, kept alive)",
                bare["p50_us"])


def measure_injection(figures, home, web, n, calls):
    """Paired rounds of the same call of the same connector, so that what else the machine does falls on both."""
    plain = {"url": f"http://127.0.0.1:{web.port}/"}
    added, without = [], []
    for _ in range(5 * n):
        bare = load(home, "fetch", plain, 1, calls // 4)["p50_us"]
        added.append(load(home, "fetch", {**plain, "credential": "api_key"}, 1, calls // 4)["p50_us"] - bare)
        without.append(bare)
    figures.add("a call with an injected credential: added p50", added, "us", "< 20", "the call without", without)


def measure_unlock(figures, home, n):
    def unlock():
        home.cli("vault", "lock", check=0)
        began = time.perf_counter()
        home.unlock()
        return {"ms": (time.perf_counter() - began) * 1000}

    bare = rounds(n, lambda: program(REFERENCE, "argon2", 1))
    figures.add("aileron vault unlock", rounds(n, unlock)["ms"], "ms", "< 1.2 of it", "bare Argon2id, the same parameters",
                [value / 1000 for value in bare["p50_us"]])


class Storm:
    """A home whose connector speaks to a provider over TLS with an OAuth token that the bench lets expire."""

    def __init__(self, folder):
        (folder / "storm-rig").mkdir()
        ca = CertificateAuthority(folder / "storm-rig")
        self.provider = Hostile(folder / "storm-rig", ca)
        row = credential(STORM_BINDING, "local://storm", [f"https://{STORM_HOST}:443"], self.value("2020-01-01T00:00:00Z"))
        self.home = Home([row], self.provider.connect_to([STORM_HOST]), ca.path)
        self.home.start()
        install(self.home, folder, f"{STORM_HOST}:443", "storm", OAUTH)
        add_action(self.home, folder, "storm", "fetch", "fetch")

    @staticmethod
    def value(expires_at):
        return oauth_value("old-access-token", "refresh-token", expires_at, token_url=f"https://{STORM_HOST}/token")

    def expire(self):
        """Writes the expired token back into the file, as if an hour had passed."""
        vault = self.home.vault()
        vault.bind(STORM_BINDING, "local://storm", [f"https://{STORM_HOST}:443"], self.value("2020-01-01T00:00:00Z"),
                   labels=vault.labels(STORM_BINDING))
        vault.write(self.home.vault_file)

    def calls(self):
        """All at once, over two sessions, each of which may have 64: milliseconds until the last is answered."""
        arguments = {"url": f"https://{STORM_HOST}/do/ok", "credential": "oauth2"}
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            halves = [pool.submit(load, self.home, "fetch", arguments, STORM_CALLS // 2, STORM_CALLS // 2, "cold") for _ in range(2)]
            return max(half.result()["max_us"] for half in halves) / 1000

    def round(self):
        self.provider.script(STORM_HOST, *["tokens/old-access-token"] * STORM_CALLS, path="/token")
        self.calls()  # now the workers are there
        warm = self.calls()
        self.expire()
        self.provider.forget()
        self.provider.script(STORM_HOST, *["tokens/new-access-token"] * STORM_CALLS, path="/token")
        mark = self.provider.mark()
        expired = self.calls()
        refreshes = len(self.provider.since(mark, "/token"))
        sent = {seen.header("authorization") for seen in self.provider.since(mark, "/do/ok")}
        if sent != {"Bearer new-access-token"}:
            raise RuntimeError(f"the storm was not answered with the new token alone: {len(sent)} kinds")
        return {"ms": expired, "warm_ms": warm, "refreshes": refreshes}

    def stop(self):
        self.home.close()
        self.provider.stop()


def measure_storm(figures, folder, n):
    storm = Storm(folder)
    try:
        results = rounds(n, storm.round)
    finally:
        storm.stop()
    figures.add(f"{STORM_CALLS} calls at once, token expired: the last answer", results["ms"], "ms", "", "the same, token good",
                results["warm_ms"])
    figures.add("refreshes at the provider in such a storm", results["refreshes"], "", "1", None)


def measure_parallel(figures, home, port, n):
    url = f"http://127.0.0.1:{port}/"
    five = rounds(n, lambda: load(home, "slow_fetch", {"url": url}, 5, 5))
    figures.add("five parallel reads, upstream takes 300 ms", [value / 1000 for value in five["p99_us"]], "ms", "< 450",
                "the upstream alone", [SLOW_S * 1000])


def measure_start(figures, home, n):
    def start():
        home.stop()
        began = time.perf_counter()
        home.cli("daemon", "start", check=0)
        assert home.api("GET", "/v1/health").status == 200
        return {"ms": (time.perf_counter() - began) * 1000}

    def version():
        began = time.perf_counter()
        subprocess.run([paths.CLI, "version"], check=True, stdout=subprocess.DEVNULL)
        return {"ms": (time.perf_counter() - began) * 1000}

    def true():
        began = time.perf_counter()
        subprocess.run(["/bin/true"], check=True, stdout=subprocess.DEVNULL)
        return {"ms": (time.perf_counter() - began) * 1000}

    bare = rounds(10, true)
    figures.add("start to first answer", rounds(n, start)["ms"], "ms", "< 50", "/bin/true, from the same Python", bare["ms"])
    figures.add("aileron version", rounds(20, version)["ms"], "ms", "< 5", "/bin/true, from the same Python", bare["ms"])


def measure_idle(figures, home):
    load(home, "noop", {}, 1, 10)
    time.sleep(2)
    broker = home.pid()
    children = {program_of(pid).split()[0].rsplit("/", 1)[-1]: pid for pid in children_of(broker)}
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    time.sleep(1)
    python = private_mib(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    for name, pid, budget in [("broker", broker, "< 10"), ("keeper", children.get("aileron-keeper"), "< 15"),
                              ("worker", children.get("aileron-worker"), "< 15")]:
        if pid:
            figures.add(f"idle {name}, private memory", [private_mib(pid)], "MiB", budget, "a sleeping Python", [python])
    figures.add("idle wake-ups in 5 s, all programs", [wakeups([broker, *children_of(broker)], 5)], "", "none", "none", None)


def measure_helpers(figures, quick):
    """Programs that print their own JSON lines: {"what","median","low","high","unit","budget","reference"?,"reference_median"?}."""
    for name, args in [("worker-instantiate", []), ("audit-bench", ["--quick"] if quick else []), ("taint-bench", [])]:
        path = paths.BUILD / "tests/bench" / name
        if not path.exists():
            print(f"{name}: not built, not measured", file=sys.stderr)
            continue
        done = subprocess.run([path, *args], capture_output=True, text=True, check=True)
        for line in done.stdout.splitlines():
            row = json.loads(line)
            figures.add(row["what"], [row["median"], row["low"], row["high"]], row["unit"], row["budget"], row.get("reference"),
                        [row["reference_median"]] if row.get("reference_median") is not None else None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", metavar="FILE", help="write the figures there as well")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that everything can be measured")
    options = parser.parse_args()
    n, calls = (1, 400) if options.quick else (5, 4000)
    figures = Figures()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="aileron-bench-"))
    web, slow = Web(folder), http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=slow.serve_forever, daemon=True).start()
    hosts = [f"127.0.0.1:{web.port}", f"127.0.0.1:{slow.server_port}"]
    home = Home([credential("api_key/bench/me", "local://bench", [f"http://{hosts[0]}"], "bench-" + "k" * 34)])
    try:
        home.start()
        home.cli("config", "set", "network.allow_private", json.dumps(hosts), check=0)
        install(home, folder, hosts[0], "bench", API_KEY)
        install(home, folder, hosts[1], "slow")
        add_action(home, folder, "bench", "noop", "noop")
        add_action(home, folder, "bench", "noop", "noop-once", idempotent=False)
        add_action(home, folder, "bench", "fetch", "fetch")
        add_action(home, folder, "slow", "fetch", "slow-fetch")
        measure_calls(figures, home, folder, n, calls)
        measure_doors(figures, home, n, calls)
        measure_get(figures, home, web, n, calls)
        measure_injection(figures, home, web, n, calls)
        measure_parallel(figures, home, slow.server_port, n)
        measure_unlock(figures, home, n)
        measure_storm(figures, folder, n)
        measure_idle(figures, home)
        measure_start(figures, home, n)
        parked.measure(figures, folder, 500 if options.quick else 10000,
                       lambda: program(REFERENCE, "append", folder / "append", 600, 200, "sync")["p50_us"] / 1000)
        measure_helpers(figures, options.quick)
    finally:
        home.close()
        slow.shutdown()
        web.stop()
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(figures.rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
