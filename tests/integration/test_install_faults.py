"""Installing while things break or compete: no room, no right to write, two at once, a daemon that dies in the middle."""
import concurrent.futures
import contextlib
import os
import subprocess
import time

import pytest

from tests.rig.forge import NOOP
from tests.rig.home import alive
from tests.rig.ports import wait_for
from tests.rig.shop import Shop


@pytest.fixture
def mounted(shop):
    """mounted(name, size): a small file system of its own in the place of a folder of the home; told loudly when it cannot be."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: needs root to mount a small file system")
    places = []

    def mount(name, options):
        place = shop.path / name
        place.mkdir(mode=0o700, exist_ok=True)
        # The daemon starts anew: it may hold the folder that was there.
        shop.stop()
        was = subprocess.run(["tar", "-C", str(place), "-cf", "-", "."], check=True, capture_output=True).stdout
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=0700,{options}", "aileron-test", str(place)], capture_output=True)
        if done.returncode != 0:
            pytest.skip(f"NOT TESTED: cannot mount a small file system here: {done.stderr.decode().strip()}")
        places.append(place)
        subprocess.run(["tar", "-C", str(place), "-xf", "-"], input=was, check=True)
        shop.start()
        return place
    yield mount
    for place in places:
        subprocess.run(["umount", "-l", str(place)], check=True)


@contextlib.contextmanager
def full(folder):
    """The file system of this folder has not a byte left meanwhile."""
    filler = os.open(folder / "filler", os.O_WRONLY | os.O_CREAT, 0o600)
    with contextlib.suppress(OSError):
        while os.write(filler, bytes(64)):
            pass
    yield
    os.close(filler)
    os.unlink(folder / "filler")


def leftovers(shop):
    """Files that are neither a whole connector, nor an action or its record, nor the index."""
    found = []
    for file in [path for path in (shop.path / "store").rglob("*") if path.is_file()]:
        parts = file.relative_to(shop.path / "store").parts
        if parts[0] == "tmp" or file.name.startswith(".") or file.suffix == ".tmp":
            found.append(str(file))
    for folder in shop.path.glob("store/connectors/sha256/*"):
        names = {path.name for path in folder.iterdir()}
        if names != {"connector.wasm", "manifest.toml", "signature.sig"}:
            found.append(f"{folder}: {names}")
    return found + [str(path) for path in shop.path.glob("actions/.*")] + [str(path) for path in shop.path.glob("keyring.json?*")]


def failing(shop, plan, *words):
    """The installation fails with these words for every item, and without a trace in store, actions and keyring."""
    with shop.untouched():
        answer = shop.accept(plan)
        if answer.status == 202:
            done = shop.wait_plan(plan["plan"], ("installing",))
            errors = [done["error"]] if done["state"] == "failed" else [item["error"] for item in done["results"]]
        else:
            errors = [answer.json()["error"]]
    said = " ".join(error["message"] for error in errors)
    assert any(word in said for word in words), errors
    return errors


# ---- disks


def test_a_store_without_room(shop, repo, mounted):
    repo.release_noop("1.0.0", ["echo"])
    shop.trust(repo.fqn, repo.key)
    store = mounted("store", "size=1m")
    plan = shop.ready(shop.suite(f"{repo.fqn}/suite.toml@1.0.0"))
    with full(store):
        errors = failing(shop, plan, "No space left")
        assert errors[0]["code"] == "disk_full", errors
    shop.buy(shop.suite(f"{repo.fqn}/suite.toml@1.0.0"))
    assert shop.output("echo", {"text": "x"}) == {"text": "x"} and not leftovers(shop)


def test_an_audit_log_without_room_stops_the_installation(shop, repo, mounted):
    """What its last page still takes is installed; from the first receipt that does not fit on nothing more is."""
    repo.release_google()
    audit = mounted("audit", "size=512k")
    plan = shop.ready(shop.suite(f"{repo.fqn}/suite.toml@1.0.0"))
    with full(audit):
        answer = shop.accept(plan)
        if answer.status == 202:
            done = shop.wait_plan(plan["plan"], ("installing",))
            errors = [done["error"]] if done["state"] == "failed" else [row["error"] for row in done["results"] if "error" in row]
            assert errors and "No space left" in " ".join(error["message"] for error in errors), done
        else:
            assert "receipt" in answer.json()["error"]["message"] + answer.json()["error"]["code"], answer
    made = {row["payload"].get("aileron.action.name") for row in shop.audit_lines() if row["event_type"] == "action.installed"}
    assert shop.installed_actions() <= made and len(made) < 10, (shop.installed_actions(), made)


def test_a_store_that_is_read_only(shop, repo, mounted):
    repo.release_noop("1.0.0", ["echo"])
    shop.trust(repo.fqn, repo.key)
    store = mounted("store", "size=4m")
    plan = shop.ready(shop.suite(f"{repo.fqn}/suite.toml@1.0.0"))
    subprocess.run(["mount", "-o", "remount,ro", str(store)], check=True)
    failing(shop, plan, "Read-only file system")
    subprocess.run(["mount", "-o", "remount,rw", str(store)], check=True)
    shop.buy(shop.suite(f"{repo.fqn}/suite.toml@1.0.0"))


def test_actions_that_cannot_be_written(shop, repo, mounted):
    """The connector is there, its action is not: said so, nothing half written, and mended by a second try."""
    repo.release_noop("1.0.0", ["echo"])
    shop.trust(repo.fqn, repo.key)
    actions = mounted("actions", "size=4m")
    plan = shop.ready(shop.suite(f"{repo.fqn}/suite.toml@1.0.0"))
    subprocess.run(["mount", "-o", "remount,ro", str(actions)], check=True)
    assert shop.accept(plan).status == 202
    done = shop.wait_plan(plan["plan"], ("installing",))
    assert [item["state"] for item in done["results"]] == ["installed", "failed"], done
    assert "Read-only" in done["results"][1]["error"]["message"]
    assert not shop.installed_actions() and not leftovers(shop)
    assert shop.run_action("echo").code != 0
    subprocess.run(["mount", "-o", "remount,rw", str(actions)], check=True)
    shop.buy(shop.suite(f"{repo.fqn}/suite.toml@1.0.0"), ("installed", "updated", "already"))
    assert shop.output("echo", {"text": "x"}) == {"text": "x"}


def test_a_keyring_that_cannot_be_written(shop, repo, mounted):
    """What would be trusted is not, so nothing is installed."""
    repo.release_noop("1.0.0", ["echo"])
    plan = shop.ready(shop.suite(f"{repo.fqn}/suite.toml@1.0.0"))
    (shop.path / "keyring.json").mkdir()
    answer = shop.accept(plan)
    if answer.status == 202:
        done = shop.wait_plan(plan["plan"], ("installing",))
        assert done["state"] == "failed" and "keyring.json" in done["error"]["message"], done
    (shop.path / "keyring.json").rmdir()
    assert not shop.installed_actions() and not shop.installed_connectors() and not leftovers(shop)


# ---- two at once


def test_the_same_twice_at_once_converges(shop, repo):
    repo.release_noop("1.0.0", ["noop", "echo"])
    plans = [shop.ready(shop.suite(f"{repo.fqn}/suite.toml@1.0.0")) for _ in range(6)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(shop.accept, plans))
    assert {answer.status for answer in answers} == {202}
    for plan in plans:
        done = shop.wait_plan(plan["plan"], ("installing",))
        assert done["state"] == "done" and {item["state"] for item in done["results"]} <= {"installed", "updated", "already"}, done
    assert len(shop.installed_connectors()) == 1 and shop.installed_actions() == {"noop", "echo"} and not leftovers(shop)
    assert shop.output("echo", {"text": "x"}) == {"text": "x"}
    assert len(shop.api("GET", "/v1/keyring").json()["publishers"]) == 1
    assert shop.cli("audit", "verify", "--json", check=0).json()["intact"]


def test_different_ones_at_once_do_not_mix(shop, forge):
    repos = [forge.repository("acme", f"mix-{number}") for number in range(6)]
    hashes = {repo.release_noop("1.0.0", ["noop"], manifest=(NOOP / "manifest.toml").read_text() + f"# {number}\n")
              for number, repo in enumerate(repos)}
    ids = [shop.preview_start("/v1/connectors", ref=f"{repo.fqn}@1.0.0") for repo in repos]
    plans = [shop.ready(shop.wait_plan(id, ("working",))) for id in ids]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(shop.accept, plans))
    for plan in plans:
        done = shop.wait_plan(plan["plan"], ("installing",))
        assert {item["state"] for item in done["results"]} == {"installed"}, done
    assert shop.installed_connectors() == {hash.removeprefix("sha256:") for hash in hashes} and not leftovers(shop)
    assert len(shop.api("GET", "/v1/keyring").json()["publishers"]) == 6


def test_two_versions_of_an_action_at_once_end_as_one_of_them(shop, repo):
    repo.release_noop("1.0.0", ["echo"])
    repo.release_noop("2.0.0", ["echo"])
    plans = [shop.ready(shop.action(f"{repo.fqn}/actions/echo@{version}")) for version in ("1.0.0", "2.0.0")]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(shop.accept, plans))
    for plan in plans:
        assert shop.wait_plan(plan["plan"], ("installing",))["state"] == "done"
    assert shop.output("echo", {"text": "x"}) == {"text": "x"} and not leftovers(shop)


def test_a_local_install_beside_a_plan(shop, repo):
    """The name of an action that is local is not taken by a plan that was made before it was there, unsaid."""
    repo.release_noop("1.0.0", ["echo"])
    plan = shop.ready(shop.action(f"{repo.fqn}/actions/echo@1.0.0"))
    assert "updates" not in plan["actions"][0]
    shop.cli("connector", "install", "--local", NOOP, "--bind", "HOST=example.com:443", check=0)
    shop.cli("action", "add", "--local", NOOP / "actions/echo.md", check=0)
    assert shop.accept(plan).status == 202
    done = shop.wait_plan(plan["plan"], ("installing",))
    assert done["state"] == "done", done
    assert shop.output("echo", {"text": "x"}) == {"text": "x"}


# ---- a daemon that dies


def revive(shop):
    shop.start()


def kill_daemon(shop):
    shop.remember()
    pid = shop.pid()
    shop.kill(pid)
    wait_for(lambda: not alive(pid), "the daemon's end", 10)


def test_a_daemon_killed_while_it_downloads(built, rude, ca, repo):
    shop = Shop([], rude.connect_to(), ca.path)
    try:
        shop.start()
        repo.release_noop("1.0.0", ["echo"])
        rude.script("objects.githubusercontent.com", "drip", path=f"/{repo.owner}/{repo.name}/actions/echo/v1.0.0/aileron.tar.gz")
        with shop.untouched():
            plan = shop.preview_start("/v1/actions", ref=f"{repo.fqn}/actions/echo@1.0.0")
            wait_for(lambda: shop.api("GET", f"/v1/plans/{plan}").json()["progress"]["done"], "the first bytes", 10)
            fetchers = [pid for pid, line in shop.processes().items() if "--fetch" in line]
            assert fetchers
            kill_daemon(shop)
            wait_for(lambda: not any(alive(pid) for pid in fetchers), "the end of what downloads", 10)
            revive(shop)
            gone = shop.api("GET", f"/v1/plans/{plan}")
            assert gone.status == 404 and "start again" in gone.json()["error"]["hint"], gone
        shop.buy(shop.action(f"{repo.fqn}/actions/echo@1.0.0"))
        assert shop.output("echo", {"text": "x"}) == {"text": "x"}
    finally:
        shop.close()


@pytest.mark.parametrize("after_ms", [0, 5, 15, 30, 60, 100, 180])
def test_a_daemon_killed_while_it_installs(shop, forge, after_ms):
    """Whatever is there afterwards is whole and runs, the rest is not there, and a second try completes it."""
    repo = forge.repository("acme", f"kill-{after_ms}")
    names = ["noop", "echo", "fail", "fetch"]
    repo.release_noop("1.0.0", names)
    plan = shop.ready(shop.suite(f"{repo.fqn}/suite.toml@1.0.0"))
    shop.remember()
    pid = shop.pid()
    shop._pids.add(pid)
    assert shop.accept(plan).status == 202
    time.sleep(after_ms / 1000)
    kill_daemon(shop)
    revive(shop)
    assert not leftovers(shop), leftovers(shop)
    there = shop.installed_actions()
    assert not there or shop.installed_connectors()
    listed = {row["name"] for row in shop.cli("action", "list", "--json", check=0).json()["actions"]}
    assert listed == there
    for name in there & {"noop", "echo"}:
        assert shop.run_action(name).code == 0
    receipts = [row["payload"].get("aileron.action.name") for row in shop.audit_lines() if row["event_type"] == "action.installed"]
    assert there <= set(receipts), "an effect without a receipt"
    again = shop.ready(shop.suite(f"{repo.fqn}/suite.toml@1.0.0"))
    shop.buy(again, ("installed", "updated", "already"))
    assert shop.installed_actions() == set(names) and len(shop.installed_connectors()) == 1
    assert shop.output("echo", {"text": "x"}) == {"text": "x"}
    assert shop.cli("audit", "verify", "--json", check=0).json()["intact"]
