"""The daemon's life: start, stop, one at a time, recovery, its files, its log."""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import time

import pytest

from tests.conftest import make_probe_home
from tests.rig import paths
from tests.rig.home import Home, alive
from tests.rig.ports import wait_for
from tests.rig.probing import args_of


def test_start_answers_when_it_returns(home):
    started = time.monotonic()
    home.start()
    took = time.monotonic() - started
    assert home.api("GET", "/v1/health").json()["status"] == "ok"
    assert took < 3
    where = home.discovery()
    assert set(where) >= {"url", "socket", "token", "pid", "version", "started_at"}
    assert (home.path / "daemon.pid").read_text().strip() == str(where["pid"])
    assert (home.path / "daemon.url").read_text().strip() == where["url"]
    for name in ("daemon.json", "log/daemon.log"):
        assert stat.S_IMODE((home.path / name).stat().st_mode) == 0o600, name
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    assert stat.S_ISSOCK(os.stat(where["socket"]).st_mode)


def test_start_is_said_once_and_twice_is_fine(home):
    home.start()
    pid = home.pid()
    home.start()
    assert home.pid() == pid


def test_start_with_other_flags_is_refused(home, ca):
    home.start()
    home.ca = ca.path
    result = home.start(check=1)
    assert "aileron stop" in result.err or "daemon stop" in result.err, repr(result)


def test_stop(home):
    home.start()
    pids = [home.pid(), *home.processes()]
    home.stop()
    wait_for(lambda: not any(alive(pid) for pid in pids), "the end of every process", 5)
    assert not (home.path / "daemon.json").exists()
    assert home.cli("daemon", "status").code in (0, 1)
    assert home.cli("stop", check=None).code in (0, 1), "stopping twice does no harm"


def test_commands_start_it_when_needed(home):
    assert home.cli("action", "list", check=0)
    home.remember()
    assert alive(home.pid())


def test_status_of_nothing_starts_nothing(home):
    result = home.cli("daemon", "status")
    assert "not running" in (result.out + result.err).lower()
    assert not (home.path / "daemon.json").exists()


def test_one_at_a_time(home):
    """Ten commands at once start one daemon."""
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        results = list(pool.map(lambda _: home.cli("action", "list"), range(10)))
    assert [result.code for result in results] == [0] * 10, repr(results[0])
    home.remember()
    lines = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    brokers = [line for line in lines.splitlines() if "aileron-broker" in line and str(home.path) in line]
    assert len(brokers) <= 1, brokers


def test_a_second_broker_is_refused(home):
    home.start()
    pid = home.pid()
    libexec = paths.BUILD / "libexec"
    command = [libexec / "aileron-broker", "--home", home.path, "--libexec", libexec]
    second = subprocess.run(command, env=home.environment, capture_output=True, text=True, timeout=20, check=False,
                            stdin=subprocess.DEVNULL)
    assert second.returncode != 0
    assert home.pid() == pid and home.api("GET", "/v1/health").status == 200


def test_terminated_cleanly(home):
    home.start()
    pids = [home.pid(), *home.processes()]
    os.kill(home.pid(), signal.SIGTERM)
    wait_for(lambda: not any(alive(pid) for pid in pids), "the end", 5)
    assert not (home.path / "daemon.json").exists()
    assert [path for path in home.path.rglob("*.sock")] == []
    home.start()
    assert [event["event_type"] for event in home.audit()].count("daemon.stopped") == 1
    assert home.cli("audit", "verify", check=0)


def test_killed_and_recovered(home):
    home.start()
    pids = [home.pid(), *home.processes()]
    os.kill(home.pid(), signal.SIGKILL)
    wait_for(lambda: not any(alive(pid) for pid in pids), "the children's end with the broker", 5)
    home.start()
    assert home.api("GET", "/v1/health").status == 200
    assert "intact" in home.cli("audit", "verify", check=0).out.lower()


def test_the_keepers_socket(home):
    """Made by the daemon, so whoever comes while a keeper is replaced waits for the next one; what a killed daemon left is replaced."""
    def greeting(stream):
        stream.settimeout(10)
        stream.connect(str(home.path / "keeper.sock"))
        return stream.recv(65536)

    home.start()
    assert (home.path / "keeper.sock").stat().st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stream:
        assert b"secrets.json" in greeting(stream)
    keeper = home.children("aileron-keeper")[0]
    home.kill(keeper)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stream:
        assert b"secrets.json" in greeting(stream)
    assert home.children("aileron-keeper") != [keeper]
    os.kill(home.pid(), signal.SIGKILL)
    wait_for(lambda: not alive(home.pid()), "the end")
    home.start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stream:
        assert b"secrets.json" in greeting(stream)
    with socket.socket(socket.AF_UNIX) as stream, pytest.raises(OSError):
        stream.connect(str(home.path / "keeper.sock"))


def test_a_torn_last_line_is_moved_and_recorded(home):
    home.start()
    os.kill(home.pid(), signal.SIGKILL)
    wait_for(lambda: not alive(home.pid()), "the end")
    with open(home.audit_files()[-1], "ab") as file:
        file.write(b'{"seq":99,"audit_id":"aud_torn')
    home.start()
    assert "audit.recovered" in [event["event_type"] for event in home.audit()]
    assert list((home.path / "audit/torn").iterdir())
    home.cli("audit", "verify", check=0)


def test_stale_discovery_files_do_no_harm(home):
    home.path.mkdir(mode=0o700)
    (home.path / "daemon.json").write_text(json.dumps({
        "url": "http://127.0.0.1:1", "socket": str(home.path / "daemon.sock"), "token": "x", "pid": 2 ** 22 - 1,
        "version": "0.0.1", "started_at": "2020-01-01T00:00:00Z"}))
    (home.path / "daemon.pid").write_text("1\n")
    home.start()
    assert home.api("GET", "/v1/health").status == 200


def test_a_home_with_a_long_name(built):
    run = pathlib.Path(f"/run/user/{os.getuid()}")
    made = [folder for folder in (run, run.parent) if not folder.exists()]
    if made and os.geteuid() != 0:
        pytest.skip(f"{run} is not there and only root can make it")
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    home = Home()
    home.path = home.base / ("long-" + "x" * 120)
    home.environment["AILERON_HOME"] = str(home.path)
    try:
        home.start()
        assert home.api("GET", "/v1/health").status == 200
        assert len(home.discovery()["socket"]) < 108
        assert home.cli("action", "list", check=0)
    finally:
        home.close()
        for folder in made:
            shutil.rmtree(folder)


def test_a_home_that_cannot_be_made_is_4(home):
    (home.base / "file").write_text("")
    result = home.cli("status", environment={"AILERON_HOME": str(home.base / "file/home")})
    assert result.code in (1, 4), repr(result)
    result = home.cli("action", "list", environment={"AILERON_HOME": str(home.base / "file/home")})
    assert result.code == 4 and "file/home" in result.err, repr(result)


def test_a_home_that_others_can_enter_is_not_used_as_it_is(home):
    home.path.mkdir(mode=0o777)
    home.path.chmod(0o777)
    result = home.start(check=None)
    assert result.code != 0 or stat.S_IMODE(home.path.stat().st_mode) == 0o700


def test_logs(home):
    home.start()
    assert home.cli("daemon", "logs", check=0).out.strip()
    assert re.match(r"\d{4}-\d\d-\d\dT", home.log())


def test_the_log_is_rotated(built, probe_folder, hostile_server, ca):
    home = make_probe_home(probe_folder, hostile_server, ca)
    try:
        log = home.path / "log/daemon.log"
        with open(log, "ab") as file:
            file.write(b"filler\n" * (10 * 1024 * 1024 // 7 + 1))
        # The running daemon counts what it wrote itself; a fresh one sees the whole file.
        home.stop()
        home.start()
        home.run_action("probe", args_of(logs=["hello"], stdout="{}"))
        wait_for(lambda: log.stat().st_size < 10 * 1024 * 1024, "a rotated log", 5)
        assert len(list((home.path / "log").iterdir())) >= 2
        home.cli("daemon", "logs", check=0)
    finally:
        home.close()


def test_it_survives_being_stopped_during_a_call(built, probe_folder, hostile_server, ca):
    home = make_probe_home(probe_folder, hostile_server, ca)
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            running = pool.submit(home.run_action, "probe", args_of(sleep_ms=4000))
            wait_for(lambda: home.children("worker"), "a worker")
            time.sleep(0.3)
            pids = [home.pid(), *home.processes()]
            home.stop()
            assert running.result().code != 0
        wait_for(lambda: not any(alive(pid) for pid in pids), "the end of every process", 8)
        home.start()
        home.cli("audit", "verify", check=0)
    finally:
        home.close()


def test_the_daemon_does_not_hold_its_starter(home):
    """A pipe to `daemon start` ends when that command does: the daemon keeps none of its descriptors."""
    done = subprocess.run(f"{paths.CLI} daemon start | cat", shell=True, env=home.environment, timeout=20, check=True,  # noqa: S602
                          capture_output=True)
    assert done.returncode == 0
    home.remember()
    if os.geteuid() != 0:
        pytest.skip("an undumpable process shows its descriptors to root alone")
    for descriptor in os.listdir(f"/proc/{home.pid()}/fd"):
        target = os.readlink(f"/proc/{home.pid()}/fd/{descriptor}")
        assert "pipe" not in target or int(descriptor) > 2, target


@contextlib.contextmanager
def older_daemon(home, folder):
    """A daemon that calls itself 0.0.9…, of programs that lie elsewhere: what stands there before an upgrade."""
    version = home.cli("version", check=0).out.split()[1]
    older = "0.0.".ljust(len(version), "9")
    for program in (paths.BROKER, paths.KEEPER, paths.WORKER):
        shutil.copy(program, folder / program.name)
    broker = folder / paths.BROKER.name
    code, changed = re.subn(rb"(?<=\0)" + re.escape(version.encode()) + rb"(?=\0)", older.encode(), broker.read_bytes())
    assert changed, "the broker's version is in it"
    broker.write_bytes(code)
    process = subprocess.Popen([broker, "--home", home.path, "--libexec", folder], env={"PATH": "/usr/bin:/bin"}, cwd="/",
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for(lambda: (home.path / "daemon.json").exists() and home.discovery()["pid"] == process.pid, "the older daemon")
        yield process, older
    finally:
        process.terminate()
        process.wait(20)


def test_a_newer_command_renews_an_idle_daemon(home, tmp_path):
    home.start()
    version = home.discovery()["version"]
    home.stop()
    with older_daemon(home, tmp_path) as (process, older):
        assert home.discovery()["version"] == older
        done = home.cli("action", "list", check=0)
        assert older in done.err and "restarting" in done.err
        assert home.discovery()["version"] == version and home.pid() != process.pid
        assert "restarting" not in home.cli("action", "list", check=0).err


def test_a_newer_command_leaves_a_busy_daemon(home, tmp_path):
    silent = socket.create_server(("127.0.0.1", 0))
    host = f"127.0.0.1:{silent.getsockname()[1]}"
    home.start()
    home.cli("config", "set", "network.allow_private", json.dumps([host]), check=0)
    home.cli("connector", "install", "--local", paths.BUILD / "connectors/noop", "--bind", f"HOST={host}", check=0)
    home.cli("action", "add", "--local", paths.BUILD / "connectors/noop/actions/fetch.md", check=0)
    home.stop()
    with silent, older_daemon(home, tmp_path) as (process, _), concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(home.api, "POST", "/v1/actions/fetch/run", {"args": {"url": f"http://{host}/"}})
        client, _ = silent.accept()
        done = home.cli("action", "list", check=0)
        assert "aileron stop" in done.err and home.pid() == process.pid
        client.close()
        assert running.result().status == 502
        home.stop()


def test_nothing_is_degraded_on_a_whole_machine(home):
    """Also after the vault has opened, when the keeper says anew what it lacks."""
    home.start()
    passphrase = home.base / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text("one that nobody guesses\n")
    home.cli("vault", "init", "--passphrase-file", passphrase, check=0)
    degraded = home.cli("status", "--json", check=0).json()["degraded"]
    assert not [item for item in degraded if "certificates" in item["what"]], degraded
