"""Fixtures shared by every pytest suite. What they start is described in tests/rig/README.md."""
import pathlib
import resource
import shutil
import signal
import subprocess
import tempfile

import pytest

from tests.rig import paths
from tests.rig.ca import CertificateAuthority
from tests.rig.gated import install_gated
from tests.rig.home import Home, credential
from tests.rig.hostile import Hostile
from tests.rig.nginx import Nginx
from tests.rig.workspace import Workspace

# Who runs the tests in the background has signals of the terminal ignored, and every command of a test would inherit that.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, handler)

# Tests that open a thousand connections do so from here; the usual soft limit is 1024.
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8192), most))

PROBE_TOKEN = "probe-secret-4f9c2d7be1a84c06"
PROBE_HOSTS = ["evil.test", "other.test", "private.test", "slow.test", "elsewhere.test"]
GOOGLE_ORIGINS = ["https://gmail.googleapis.com:443", "https://www.googleapis.com:443"]


@pytest.fixture(scope="session")
def rig_folder():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="aileron-rig-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def ca(rig_folder):
    return CertificateAuthority(rig_folder)


@pytest.fixture(scope="session")
def workspace(rig_folder):
    server = Workspace(rig_folder)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def nginx(rig_folder, ca, workspace):
    folder = rig_folder / "nginx"
    folder.mkdir()
    server = Nginx(folder, ca, workspace.port)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def hostile_server(rig_folder, ca, workspace):
    server = Hostile(rig_folder, ca, workspace.port)
    yield server
    server.stop()


@pytest.fixture
def hostile(hostile_server):
    yield hostile_server
    hostile_server.forget()
    failures, hostile_server.failures[:] = list(hostile_server.failures), []
    assert not failures, failures


@pytest.fixture(scope="session")
def probe_folder(rig_folder):
    """The probe connector, built from tests/rig/probe: a folder for `connector install --local`."""
    source = paths.ROOT / "tests/rig/probe"
    folder = rig_folder / "probe"
    shutil.copytree(source, folder)
    subprocess.run(["clang", "--target=wasm32-wasi", "-O1", "-Wall", "-Wl,--strip-all", str(source / "probe.c"),
                    "-o", str(folder / "connector.wasm")], check=True)
    (folder / "probe.c").unlink()
    return folder


@pytest.fixture(scope="session")
def built():
    """Skips when the programs are not built; `make test` builds them first."""
    missing = [str(path) for path in (paths.CLI, paths.BROKER, paths.KEEPER, paths.WORKER, paths.RELAY) if not path.exists()]
    if missing:
        pytest.skip(f"not built: {', '.join(missing)}")


@pytest.fixture
def home(built):
    """A home whose daemon is not started yet, without credentials."""
    made = Home()
    yield made
    made.close()


def make_probe_home(probe_folder, hostile_server, ca, **more):
    row = credential("api_key/probe/me", "local://probe", ["https://evil.test:443", "https://slow.test:443"], PROBE_TOKEN)
    made = Home([row], hostile_server.connect_to(PROBE_HOSTS), ca.path, **more)
    made.start()
    made.install(probe_folder, *sorted((probe_folder / "actions").glob("*.md")))
    return made


def make_gated_home(probe_folder, hostile_server, ca):
    """The same with the gated actions of rig/gated.py, and no passphrase asked for at a yes."""
    made = make_probe_home(probe_folder, hostile_server, ca)
    install_gated(made)
    made.cli("config", "set", "approval.confirm", "never", check=0)
    return made


@pytest.fixture(scope="module")
def probe_home(built, probe_folder, hostile_server, ca):
    """A running daemon with the probe connector, in front of the hostile provider."""
    made = make_probe_home(probe_folder, hostile_server, ca)
    yield made
    made.close()


def make_google_home(connect_to, ca, workspace, **more):
    token = workspace.token()
    made = Home([credential("oauth2/google/me", "local://google", GOOGLE_ORIGINS, token)], connect_to,
                ca.path, **more)
    made.token = token
    made.start()
    made.install(paths.GOOGLE, paths.GOOGLE / "actions")
    return made


@pytest.fixture(scope="module")
def google_home(built, nginx, ca, workspace):
    """A running daemon with the Google connector, in front of nginx and the emulated Workspace."""
    workspace.reset()
    made = make_google_home(nginx.connect_to(), ca, workspace)
    yield made
    made.close()


@pytest.fixture(scope="module")
def google_hostile_home(built, hostile_server, ca, workspace):
    """The same in front of the hostile provider, which passes on what no script answers."""
    workspace.reset()
    made = make_google_home(hostile_server.connect_to(), ca, workspace)
    yield made
    made.close()
