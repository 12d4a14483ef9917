"""The environment of whoever types a command changes nothing in the daemon (DESIGN §5.11)."""
import pathlib
import subprocess

import pytest

from tests.conftest import PROBE_HOSTS, PROBE_TOKEN
from tests.rig import paths
from tests.rig.home import Home, credential
from tests.rig.probing import ask

# What would change the behaviour of libraries or of our own programs if it got through.
HOSTILE = {
    "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "socks5://127.0.0.1:9", "NO_PROXY": "", "CURL_CA_BUNDLE": "/nonexistent", "SSL_CERT_FILE": "/nonexistent",
    "SSL_CERT_DIR": "/nonexistent", "OPENSSL_CONF": "/nonexistent", "SSLKEYLOGFILE": "{base}/keys.log",
    "CARES_SERVERS": "192.0.2.1", "LOCALDOMAIN": "attacker.test", "RES_OPTIONS": "ndots:15", "HOSTALIASES": "{base}/aliases", "CURL_HOME": "{base}",
    "NETRC": "{base}/netrc", "LD_PRELOAD": "{base}/evil.so", "LD_LIBRARY_PATH": "{base}", "MALLOC_CHECK_": "3",
    "RUST_BACKTRACE": "full", "RUST_LOG": "trace", "EVENT_NOEPOLL": "1", "EVENT_SHOW_METHOD": "1", "TZ": "Asia/Kathmandu",
    "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "TMPDIR": "{base}/tmp", "WASMTIME_BACKTRACE_DETAILS": "1",
    "AILERON_DEV_CONNECT_TO": "evil.test:443:127.0.0.1:9", "AILERON_DEV_CA": "/nonexistent", "AILERON_DEV_CREDENTIALS": "/x",
    "AILERON_LIBEXEC": "{base}", "AILERON_LOG": "debug", "AILERON_KEEPER": "{base}/evil", "AILERON_WORKER": "{base}/evil",
    "AILERON_BROKER": "{base}/evil", "JANSSON": "x", "DYLD_INSERT_LIBRARIES": "x", "GCONV_PATH": "{base}", "IFS": "/",
}

# Notes every program that loads it.
PRELOAD = """
#include <errno.h>
#include <stdio.h>
__attribute__((constructor)) static void seen(void)
{
    FILE *file = fopen("FILE_NAME", "a");
    if (file) {
        fprintf(file, "%s\\n", program_invocation_short_name);
        fclose(file);
    }
}
"""


@pytest.fixture(scope="module")
def hostile_environment_home(built, probe_folder, hostile_server, ca):
    """A daemon started by a command whose environment is full of traps."""
    home = Home([credential("api_key/probe/me", "local://probe", ["https://evil.test:443"], PROBE_TOKEN)],
                hostile_server.connect_to(PROBE_HOSTS), ca.path)
    home.environment.update({key: value.format(base=home.base) for key, value in HOSTILE.items()})
    # With ASan a preload would come before the runtime and end the program.
    source = PRELOAD.replace("FILE_NAME", str(home.base / "loaded"))
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-x", "c", "-", "-o", home.base / "evil.so"], input=source,
                   text=True, check=True)
    if paths.sanitized():
        home.environment.pop("LD_PRELOAD")
    (home.base / ".curlrc").write_text("insecure\n")
    (home.base / "netrc").write_text("machine evil.test login netrc password netrc\n")
    home.start()
    home.install(probe_folder, probe_folder / "actions/probe.md")
    yield home
    home.close()


def environment_of(pid):
    return dict(item.split("=", 1) for item in pathlib.Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in item)


def test_requests_go_where_they_would_go(hostile_environment_home, hostile):
    mark = hostile.mark()
    assert ask(hostile_environment_home, "https://evil.test/do/ok", credential="api_key")["status"] == 200
    [seen] = hostile.since(mark)
    assert seen.header("authorization") == f"Bearer {PROBE_TOKEN}"
    assert not (hostile_environment_home.base / "keys.log").exists(), "TLS keys were written where the environment said"


def test_nothing_of_it_reaches_the_daemon(hostile_environment_home):
    home = hostile_environment_home
    # The programs are undumpable: even their environment is readable by root alone.
    try:
        environments = {pid: environment_of(pid) for pid in [home.pid(), *home.processes()]}
    except PermissionError:
        pytest.skip("only root can read the environment of an undumpable process")
    for pid, environment in environments.items():
        leaked = {key for key, value in environment.items() if HOSTILE.get(key) == value}
        assert not leaked, f"{pid}: {leaked}"
        assert len(environment) <= 8, environment


def test_a_preloaded_library_is_in_the_command_alone(hostile_environment_home):
    if paths.sanitized():
        pytest.skip("a preload and the sanitizer's runtime exclude each other")
    loaded = set((hostile_environment_home.base / "loaded").read_text().split())
    assert loaded == {"aileron"}, loaded


def test_overrides_are_those_of_the_flags_alone(hostile_environment_home):
    overrides = hostile_environment_home.cli("status", "--json", check=0).json()["overrides"]
    assert "127.0.0.1:9" not in str(overrides) and "/nonexistent" not in str(overrides)


def test_times_are_utc_whatever_the_zone(hostile_environment_home):
    assert all(event["timestamp"].endswith("Z") for event in hostile_environment_home.audit())
