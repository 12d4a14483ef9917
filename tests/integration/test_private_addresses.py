"""Names that resolve to this machine, to its network or to a cloud's metadata service are refused (DESIGN §5.2).

The daemon runs in a mount namespace in which /etc/resolv.conf names the rig's DNS server; that needs root. The
literal addresses and the redirects to them need nothing and are tested for everybody.
"""
import os
import shutil
import socket

import pytest

from tests.conftest import PROBE_TOKEN
from tests.rig.dns import Dns, resolver_namespace, why_no_namespace
from tests.rig.home import Home, credential
from tests.rig.probing import ask, envelope, probe, refused

# Every range of DESIGN §5.2, with edges; each gets a name of its own.
PRIVATE = ["0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.254", "127.0.0.1", "127.0.0.2",
           "127.255.255.254", "169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.168.0.1",
           "192.168.255.255", "224.0.0.1", "239.255.255.255", "255.255.255.255",
           "::", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
           "fe80::1", "febf::1", "fc00::1", "fdff::1", "ff02::1", "::127.0.0.1", "2002:7f00:1::"]
NAMES = {address: f"n{number}.private.test" for number, address in enumerate(PRIVATE)}
HOSTS = [*NAMES.values(), "mixed.test", "rebind.test", "hosts-file.test", "nowhere.test", "empty.test", "evil.test"]


def manifest_with(probe_folder, folder, hosts):
    """A copy of the probe connector whose manifest names these hosts on port 443 and 80."""
    shutil.copytree(probe_folder, folder)
    text = (folder / "manifest.toml").read_text()
    first, _, rest = text.partition("hosts = [")
    rows = ", ".join(f'"{host}:{port}"' for host in hosts for port in (443, 80))
    (folder / "manifest.toml").write_text(first + "hosts = [" + rows + rest[rest.index("]"):])
    return folder


@pytest.fixture(scope="module")
def dns_address():
    """A loopback address of this test process whose port 53 is free."""
    return f"127.0.53.{os.getpid() % 250 + 1}"


@pytest.fixture(scope="module")
def nameserver(dns_address, tmp_path_factory):
    reason = why_no_namespace(tmp_path_factory.mktemp("namespace"))
    if reason:
        pytest.skip(f"the daemon cannot be pointed at a resolver of ours: {reason}")
    answers = {name: [address] for address, name in NAMES.items()}
    answers |= {"mixed.test": ["192.0.2.7", "127.0.0.1"], "empty.test": []}
    # A public address at first, this machine's at every later question.
    turns = iter([["192.0.2.1"]])
    answers["rebind.test"] = lambda: next(turns, ["127.0.0.1"])
    try:
        server = Dns(answers, dns_address)
    except OSError as error:
        pytest.skip(f"port 53 of {dns_address}: {error}")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def resolving_home(built, probe_folder, hostile_server, ca, nameserver, tmp_path_factory):
    folder = tmp_path_factory.mktemp("resolver")
    origins = ["https://rebind.test:443", "https://evil.test:443"]
    home = Home([credential("api_key/probe/me", "local://probe", origins, PROBE_TOKEN)],
                [f"evil.test:443:127.0.0.1:{hostile_server.port}"], ca.path,
                prefix=resolver_namespace(folder, nameserver.address, ["169.254.169.254 hosts-file.test"]))
    home.start()
    connector = manifest_with(probe_folder, folder / "probe", HOSTS)
    home.install(connector, connector / "actions/probe.md", connector / "actions/probe-once.md")
    yield home
    home.close()


@pytest.fixture(scope="module")
def listener():
    """Counts who connects to loopback's port 443 and 80, where the refused names lead."""
    sockets = []
    for address in ("127.0.0.1", "127.0.0.2"):
        for port in (443, 80):
            stream = socket.socket()
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                stream.bind((address, port))
                stream.listen(16)
                stream.setblocking(False)
                sockets.append(stream)
            except OSError:
                stream.close()
    yield sockets
    for stream in sockets:
        stream.close()


def connections(sockets):
    count = 0
    for stream in sockets:
        try:
            while True:
                stream.accept()[0].close()
                count += 1
        except BlockingIOError:
            continue
    return count


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_of_a_private_address_is_refused(resolving_home, nameserver, listener, address):
    failure = refused(resolving_home, f"https://{NAMES[address]}/do/ok", action="probe-once")
    assert failure["class"] == "capability_denied", failure
    assert NAMES[address] in [name for name, _ in nameserver.asked], "the rig's resolver was not asked"
    assert connections(listener) == 0


def test_a_name_with_one_private_address_among_others(resolving_home, listener):
    failure = refused(resolving_home, "https://mixed.test/do/ok", action="probe-once")
    assert failure["class"] == "capability_denied" and connections(listener) == 0


def test_a_name_of_the_hosts_file(resolving_home):
    failure = refused(resolving_home, "https://hosts-file.test/latest/meta-data/", action="probe-once")
    assert failure["class"] == "capability_denied", failure


def test_a_name_that_changes_its_mind(resolving_home, listener):
    for turn in range(3):
        failure = refused(resolving_home, "https://rebind.test/do/ok", credential="api_key", action="probe-once")
        # The first answer is a public address that nobody answers at (192.0.2.0/24 is for documentation).
        assert failure["class"] == "capability_denied" or turn == 0, failure
    assert connections(listener) == 0


@pytest.mark.parametrize("name", ["nowhere.test", "empty.test"])
def test_a_name_without_an_address_is_a_network_error(resolving_home, name):
    failure = refused(resolving_home, f"https://{name}/", action="probe-once")
    assert failure["class"] == "network_error", failure


def test_the_row_of_connect_to_is_exempt_for_its_own_host_alone(resolving_home, hostile):
    mark = hostile.mark()
    assert ask(resolving_home, "https://evil.test/do/ok")["status"] == 200
    assert len(hostile.since(mark)) == 1
    assert refused(resolving_home, "http://evil.test:80/do/ok", action="probe-once")["class"] == "capability_denied"


LITERAL = ["127.0.0.1", "169.254.169.254", "10.0.0.1", "192.168.1.1", "[::1]", "[::ffff:127.0.0.1]", "[fe80::1]", "0.0.0.0",
           "2130706433", "0x7f.0.0.1", "0177.0.0.1", "127.1", "127.0.0.1.", "localhost", "LOCALHOST", "localhost.localdomain"]


@pytest.fixture(scope="module")
def literal_home(built, probe_folder, hostile_server, ca, tmp_path_factory):
    """The manifest names the addresses themselves: even so they are refused."""
    hosts = ["127.0.0.1", "169.254.169.254", "10.0.0.1", "192.168.1.1", "localhost", "evil.test"]
    connector = manifest_with(probe_folder, tmp_path_factory.mktemp("literal") / "probe", hosts)
    home = Home([credential("api_key/probe/me", "local://probe", ["https://evil.test:443"], PROBE_TOKEN)],
                hostile_server.connect_to(["evil.test"]), ca.path)
    home.start()
    home.install(connector, connector / "actions/probe.md", connector / "actions/probe-once.md")
    yield home
    home.close()


@pytest.mark.parametrize("host", LITERAL)
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_a_literal_address_is_refused(literal_home, hostile, host, scheme):
    mark = hostile.mark()
    probed = probe(literal_home, envelope(f"{scheme}://{host}/do/ok"), action="probe-once")
    assert probed.failure is not None or probed.results[0]["rc"] in (-1, -2), repr(probed)
    if probed.failure:
        assert probed.failure["class"] == "capability_denied", repr(probed)
    assert hostile.since(mark) == []


def test_allow_private_opens_one_door(built, probe_folder, hostile, ca, tmp_path_factory):
    """`network.allow_private` names host:port as written; the grant and the manifest still decide the rest."""
    name = f"127.0.0.1:{hostile.plain_port}"
    folder = tmp_path_factory.mktemp("allowed") / "probe"
    connector = manifest_with(probe_folder, folder, ["evil.test"])
    text = (folder / "manifest.toml").read_text().replace("hosts = [", f'hosts = ["{name}", "127.0.0.1:{hostile.port}", ')
    (folder / "manifest.toml").write_text(text)
    home = Home([credential("api_key/probe/me", "local://probe", ["https://evil.test:443"], PROBE_TOKEN)])
    home.path.mkdir(mode=0o700)
    (home.path / "config.toml").write_text(f'[network]\nallow_private = ["{name}"]\n')
    try:
        home.start()
        home.install(connector, connector / "actions/probe-once.md")
        mark = hostile.mark()
        assert ask(home, f"http://{name}/do/ok", action="probe-once")["status"] == 200
        assert len(hostile.since(mark)) == 1
        failure = refused(home, f"https://127.0.0.1:{hostile.port}/do/ok", action="probe-once")
        assert failure["class"] == "capability_denied" and len(hostile.since(mark)) == 1
    finally:
        home.close()
