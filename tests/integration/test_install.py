"""Installing from a forge: the right way, and whatever may be wrong with a release."""
import time

import pytest

from tests.rig.forge import Forge
from tests.rig.home import Home


@pytest.fixture
def forge(nginx, rig_folder):
    made = Forge(nginx, rig_folder / "forge")
    yield made
    made.forget()


@pytest.fixture
def shop(built, nginx, ca):
    """A home whose daemon reaches the forge."""
    made = Home([], nginx.connect_to(), ca.path)
    made.start()
    yield made
    made.close()


def plan(home, path, body, timeout=30):
    """POST a preview and wait until it is worked out."""
    answer = home.api("POST", path, body)
    assert answer.status == 202, answer
    return wait_plan(home, answer.json()["plan"], ("working",), timeout)


def wait_plan(home, id, busy, timeout=30):
    deadline = time.monotonic() + timeout
    while True:
        got = home.api("GET", f"/v1/plans/{id}").json()
        if got["state"] not in busy:
            return got
        assert time.monotonic() < deadline, got
        time.sleep(0.02)


def install(home, path, ready, **more):
    trust = [{"authority": item["authority"], "fingerprint": item["fingerprint"]} for item in ready["trust_needed"]]
    answer = home.api("POST", path, {"plan": ready["plan"], "consent": "accepted", "trust": trust, **more})
    assert answer.status == 202, answer
    return wait_plan(home, ready["plan"], ("installing",))


def test_a_suite_from_preview_to_a_listed_action(shop, forge):
    repo = forge.repository("acme", "tools")
    hash = repo.release_google()
    ready = plan(shop, "/v1/actions/preview", {"ref": "github://acme/tools/suite.toml@latest", "suite": True})
    assert ready["state"] == "ready", ready
    assert [item["authority"] for item in ready["trust_needed"]] == ["github://acme/tools"]
    assert ready["trust_needed"][0]["fingerprint"] == repo.key.fingerprint
    assert len(ready["actions"]) == 10 and len(ready["connectors"]) == 1
    assert ready["connectors"][0]["hash"] == hash and not ready["connectors"][0]["already_installed"]
    texts = [sentence["text"] for sentence in ready["sentences"]]
    assert "can send mail as you, each time only after you approve" in texts, texts
    assert not (shop.path / "keyring.json").exists() and not list(shop.path.glob("store/connectors/sha256/*"))
    done = install(shop, "/v1/actions/install", ready)
    assert {item["state"] for item in done["results"]} == {"installed"}, done
    assert len(shop.cli("action", "list", "--json", check=0).json()["actions"]) == 10
    again = plan(shop, "/v1/actions/preview", {"ref": "github://acme/tools/suite.toml@v1.0.0", "suite": True})
    assert again["state"] == "ready" and not again["trust_needed"]
    assert all(item["already_installed"] for item in again["actions"] + again["connectors"])
