"""
Fixtures of the tests that install from a forge (test_install*.py), of those in Chromium (test_browser.py, test_web_*.py), and of those of
the fence (test_fence*.py).
"""
import itertools
import os
import pathlib

import pytest

from tests.rig.chromium import CHROMIUM, launch
from tests.rig.fence import FENCED, FENCED_NAMES, Fenced, UserHome, landlock_mask
from tests.rig.forge import Forge, RudeForge
from tests.rig.shop import Shop

numbers = itertools.count(1)


@pytest.fixture
def forge(nginx, rig_folder):
    """Everything that was published is gone after the test."""
    made = Forge(nginx, rig_folder / f"forge-{next(numbers)}")
    yield made
    made.forget()


@pytest.fixture
def repo(forge):
    """A repository that nobody has heard of before."""
    return forge.repository("acme", f"tools-{next(numbers)}")


@pytest.fixture(scope="module")
def market(built, nginx, ca):
    """One running daemon in front of nginx for a whole file of tests; each test has repositories of its own."""
    made = Shop([], nginx.connect_to(), ca.path)
    made.start()
    yield made
    made.close()


@pytest.fixture
def shop(built, nginx, ca):
    """A fresh one."""
    made = Shop([], nginx.connect_to(), ca.path)
    made.start()
    yield made
    made.close()


@pytest.fixture(scope="session")
def rude_server(rig_folder, ca, nginx):
    folder = rig_folder / "rude"
    folder.mkdir()
    server = RudeForge(rig_folder, ca, nginx)
    yield server
    server.stop()


@pytest.fixture
def rude(rude_server):
    """The forge by script; each test's seen requests are its own."""
    yield rude_server
    rude_server.forget()
    failures, rude_server.failures[:] = list(rude_server.failures), []
    assert not failures, failures


@pytest.fixture(scope="module")
def rude_market(built, rude_server, ca):
    made = Shop([], rude_server.connect_to(), ca.path)
    made.start()
    yield made
    made.close()


# Not of the session: while Playwright runs, no other test of this process can have an event loop of its own.
@pytest.fixture(scope="module")
def playwright():
    api = pytest.importorskip("playwright.sync_api")
    if not pathlib.Path(CHROMIUM).exists():
        pytest.skip("Debian's chromium is not installed (scripts/setup test)")
    with api.sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright):
    made = launch(playwright)
    yield made
    made.close()


@pytest.fixture(scope="module", params=FENCED, ids=FENCED_NAMES)
def fenced(request, built):
    if os.geteuid() != 0:
        pytest.skip("needs root, to be two users")
    uid, old = request.param
    home = UserHome(uid)
    home.start()
    yield Fenced(home, landlock_mask() if old else None)
    home.close()
