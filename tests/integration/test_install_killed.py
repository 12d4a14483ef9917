"""The broker is killed while it installs, at any moment: what the next one finds is whole, and the same installation ends well."""
import random
import time

import pytest

from tests.rig.ports import wait_for

ACTIONS = {"noop", "echo", "fail"}


def kill(shop):
    pid = shop.pid()
    shop.kill(pid)
    wait_for(lambda: not alive(pid), "the broker is gone")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def whole(shop, versions):
    """Every action that is there is signed, of one of these versions, and runs; nothing half done lies about."""
    got = shop.api("GET", "/v1/actions").json()
    assert not got["load_errors"], got["load_errors"]
    assert not list((shop.path / "store/tmp").iterdir())
    assert not [path for top in ("actions", "store") for path in (shop.path / top).rglob(".*")]
    assert not [path for path in shop.path.glob(".*.tmp") if not path.name.startswith(".secrets.json")]
    names = {row["name"] for row in got["actions"]}
    assert {path.stem for path in shop.path.glob("store/actions/*.json")} == names == shop.installed_actions()
    for row in got["actions"]:
        assert row["signed"] and row["version"] in versions, row
        assert shop.api("POST", f"/v1/actions/{row['name']}/run", {"args": {}}).json().get("error", {}).get("class") not in (
            "hash_mismatch", "signature_failure")
    return names


@pytest.mark.parametrize("seed", range(4))
def test_killed_while_it_installs(shop, repo, seed):
    chance = random.Random(seed)
    repo.release_noop("1.0.0", sorted(ACTIONS))
    for _ in range(12):
        plan = shop.ready(shop.suite(f"{repo.fqn}/suite.toml@v1.0.0"))
        assert shop.accept(plan).status == 202
        time.sleep(chance.random() * 0.05)
        kill(shop)
        shop.start()
        if whole(shop, {"1.0.0"}) == ACTIONS:
            break
    shop.buy(shop.suite(f"{repo.fqn}/suite.toml@v1.0.0"), ("installed", "already"))
    assert whole(shop, {"1.0.0"}) == ACTIONS


@pytest.mark.parametrize("seed", range(4))
def test_killed_while_it_updates(shop, repo, seed):
    chance = random.Random(seed)
    repo.release_noop("1.0.0", sorted(ACTIONS))
    shop.buy(shop.suite(f"{repo.fqn}/suite.toml@v1.0.0"))
    repo.release_noop("1.1.0", sorted(ACTIONS))
    plan = shop.ready(shop.suite(f"{repo.fqn}/suite.toml@v1.1.0"))
    assert shop.accept(plan).status == 202
    time.sleep(chance.random() * 0.05)
    kill(shop)
    shop.start()
    assert whole(shop, {"1.0.0", "1.1.0"}) == ACTIONS
    shop.buy(shop.suite(f"{repo.fqn}/suite.toml@v1.1.0"), ("installed", "updated", "already"))
    assert whole(shop, {"1.1.0"}) == ACTIONS
