"""A forge that is rude: errors, limits, redirects, slow and dying downloads; and what each server gets to see of us."""
import os
import socket
import threading
import time
import urllib.parse

import pytest

from tests.rig.forge import GITHUB_HOSTS, NOOP, archive
from tests.rig.hostile import behaviour
from tests.rig.ports import wait_for
from tests.rig.shop import Shop

GITHUB, API, RAW, OBJECTS = GITHUB_HOSTS
TOKEN = "ghp_5e3cBa7041f2d6Token"


class Paths:
    """Where the files of a release of a repository are asked for, and how they are written in a script."""

    def __init__(self, repo, tag="v1.0.0"):
        base = f"/{repo.owner}/{repo.name}"
        self.download = f"{base}/releases/download/{tag}/aileron.tar.gz"
        self.object = f"{base}/{tag}/aileron.tar.gz"
        self.latest = f"/repos/{repo.owner}/{repo.name}/releases/latest"
        self.key = f"{base}/HEAD/keys/publisher.pub"
        self.file = urllib.parse.quote(str(repo.asset_path(tag)), safe="")


@pytest.fixture
def good(rude_market, repo):
    """A release that is as it should be; its publisher is trusted."""
    repo.release_noop("1.0.0", ["echo"])
    rude_market.trust(repo.fqn, repo.key)
    return Paths(repo)


def quoted(url):
    return urllib.parse.quote(url, safe="")


# ---- statuses


STATUSES = {
    "404": (["status/404"], "not_found", 1, ["does not exist", "check the name"]),
    "410": (["status/410"], "not_found", 1, ["does not exist"]),
    "401": (["status/401"], "failed", 1, ["refuses", "401"]),
    "403": (["status/403"], "failed", 1, ["refuses", "403"]),
    "451": (["status/451"], "failed", 1, ["refuses", "451"]),
    "500 for ever": (["status/500"] * 9, "network", 4, ["fault of its own", "500", "try again"]),
    "503 for an hour": (["status/503/3600"] * 9, "network", 1, ["503"]),
    "429 for an hour": (["status/429/3600"] * 9, "rate_limited", 1, ["60 minutes", "token"]),
    "429 for ever": (["status/429"] * 9, "rate_limited", 4, ["no more requests"]),
    "204": (["status/204"], "failed", 1, ["204"]),
    "304 unasked": (["status/304"], "failed", 1, ["304"]),
    "garbage": (["garbage"] * 9, "network", 4, []),
    "reset": (["reset_early"] * 9, "network", 4, []),
    "giant header": (["giant_header"] * 9, None, None, []),
    "endless headers": (["endless_headers"] * 9, None, None, []),
    "endless": (["endless"] * 9, "too_large", 1, ["larger than"]),
    "endless identity": (["endless_identity"] * 9, "too_large", 1, ["larger than"]),
    "too big": (["big/67108865"], "too_large", 1, ["larger than"]),
    "inflates": (["gzip_bomb/10"], "invalid_release", 1, []),
    "upgrade": (["upgrade"] * 9, None, None, []),
    "two lengths": (["length_twice"] * 9, None, None, []),
    "cut chunk": (["truncated_chunk"] * 9, "network", 4, []),
    "bad chunk": (["bad_chunk"] * 9, "network", 4, []),
}


def test_statuses_and_rudeness(rude_market, rude, forge):
    """Side by side, since some are tried again for seconds."""
    begun = {}
    for number, (name, (lines, *_)) in enumerate(STATUSES.items()):
        repo = forge.repository("rude", f"status-{number}")
        repo.release_noop("1.0.0", [])
        paths = Paths(repo)
        rude.script(OBJECTS, *lines, path=paths.object)
        begun[name] = paths, None, repo
    wrong = []
    names = list(begun)
    with rude_market.untouched():
        for some in (names[:12], names[12:]):
            plans = {name: rude_market.preview_start("/v1/connectors", ref=f"{begun[name][2].fqn}@1.0.0") for name in some}
            for name, plan in plans.items():
                _, code, asked, words = STATUSES[name]
                got = rude_market.wait_plan(plan, ("working",))
                error = got.get("error", {})
                said = error.get("message", "") + " " + error.get("hint", "")
                seen = len([r for r in rude.since(0, begun[name][0].object)])
                if got["state"] != "failed" or (code and error["code"] != code) or not all(word in said for word in words) or \
                        "provider text" in said or (asked and seen != asked):
                    wrong.append((name, seen, got.get("error", got["state"])))
                if got["state"] == "ready":
                    rude_market.drop(got)
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize("lines", [["status/500"], ["status/503", "reset_mid"], ["status/429/1"], ["close_early"], ["close_mid"]])
def test_what_passes_is_tried_again(rude_market, rude, repo, good, lines):
    rude.script(OBJECTS, *lines, path=good.object)
    mark = rude.mark()
    rude_market.buy(rude_market.connector(f"{repo.fqn}@1.0.0"))
    assert len(rude.since(mark, good.object)) == len(lines) + 1


def test_a_limit_that_says_when_it_ends(rude_market, rude, repo, good):
    """As the forge's API says it: 403, nothing remaining, and the second at which it is reset."""
    for status in ("403", "429"):
        mark = rude.mark()
        rude.script(API, f"limited/{status}/720", path=good.latest)
        with rude_market.untouched():
            error = rude_market.failed(rude_market.connector(f"{repo.fqn}@latest"), "rate_limited", "in 12 minutes", "user/github")
        assert time.strftime("%H:%M", time.localtime(time.time() + 720)) in error["message"] or \
            time.strftime("%H:%M", time.localtime(time.time() + 700)) in error["message"], error
        assert len(rude.since(mark, good.latest)) == 1, "a limit is not knocked at"


def test_what_the_api_says_is_not_believed(rude_market, rude, repo, good):
    bodies = ["{}", "[]", "", "nonsense", '{"tag_name":7}', '{"tag_name":"main"}', '{"tag_name":"v1"}', '{"tag_name":"v1.0.0/../x"}',
              '{"tag_name":"\\u0000v1.0.0"}', '{"tag_name":"' + "v" * 5000 + '"}', "[" * 50_000]
    for body in bodies:
        rude.script(API, f"text/200/{quoted(body)}", path=good.latest)
        with rude_market.untouched():
            rude_market.failed(rude_market.connector(f"{repo.fqn}@latest"), "invalid_release")
    for body in ["{}", "nonsense", '[{"name":"v1.0.0"}]', '[{"name":"v1.0.0","commit":{"sha":"c0ffee"}}]', "[7]", "[]"]:
        rude.script(API, f"text/200/{quoted(body)}", path=good.latest.replace("releases/latest", "tags"))
        with rude_market.untouched():
            plan = rude_market.connector(f"{repo.fqn}@{'c0ffee' + '0' * 34}")
        assert plan["state"] == "failed" and plan["error"]["code"] in ("invalid_release", "not_found"), plan


def test_tags_without_end_are_read_for_a_while_only(rude_market, rude, repo, good):
    page = "[" + ",".join(f'{{"name":"n{i}","commit":{{"sha":"{i:040x}"}}}}' for i in range(100)) + "]"
    tags = good.latest.replace("releases/latest", "tags")
    rude.script(API, *[f"text/200/{quoted(page)}"] * 60, path=tags)
    mark = rude.mark()
    with rude_market.untouched():
        rude_market.failed(rude_market.connector(f"{repo.fqn}@{'c0ffee' + '0' * 34}"), "not_found")
    assert len(rude.since(mark, tags)) == 20


# ---- redirects


REDIRECTS = {
    "to http": ("http://objects.githubusercontent.com/x", "not https"),
    "to another scheme": ("file:///etc/passwd", ""),
    "to ftp": ("ftp://objects.githubusercontent.com/x", ""),
    "to this machine": ("https://127.0.0.1/x", ""),
    "to this machine by IPv6": ("https://[::1]/x", ""),
    "to a private network": ("https://10.0.0.1/x", ""),
    "to a router": ("https://192.168.1.1/x", ""),
    "to the metadata": ("https://169.254.169.254/latest/meta-data/", ""),
    "to a mapped address": ("https://[::ffff:127.0.0.1]/x", ""),
    "to a number": ("https://2130706433/x", ""),
    "to localhost": ("https://localhost/x", ""),
    "to nothing": ("https:///x", ""),
    "with a password": ("https://user:secret@objects.githubusercontent.com/x", ""),
    "in circles": (None, "too often"),
}


def test_redirects_that_are_not_followed(rude_market, rude, forge, free_listener):
    wrong, plans = [], {}
    port, reached = free_listener
    for number, (name, (to, word)) in enumerate(REDIRECTS.items()):
        repo = forge.repository("rude", f"redirect-{number}")
        paths = Paths(repo)
        lines = ["redirect_loop"] * 9 if to is None else [f"redirect_to/{quoted(to.replace('127.0.0.1/', f'127.0.0.1:{port}/'))}"] * 9
        rude.script(GITHUB, *lines, path=paths.download)
        plans[name] = repo, paths, word
    with rude_market.untouched():
        for name, (repo, paths, word) in plans.items():
            plan = rude_market.preview_start("/v1/connectors", ref=f"{repo.fqn}@1.0.0")
            plans[name] = plan, paths, word
        for name, (plan, _, word) in plans.items():
            got = rude_market.wait_plan(plan, ("working",))
            if got["state"] != "failed" or word not in got["error"]["message"] or "secret@" in got["error"]["message"]:
                wrong.append((name, got.get("error", got["state"])))
    assert not wrong, "\n".join(map(str, wrong))
    assert not reached, "something knocked at this machine's own door"


@pytest.mark.parametrize(["count", "ok"], [(4, True), (5, False)])
def test_five_redirects_are_enough(rude_market, rude, repo, good, count, ok):
    """The one of the forge itself included: one to the host of the assets, and these."""
    hops = [f"redirect_to/{quoted(f'https://{OBJECTS}{good.object}?hop={i}')}" for i in range(count)]
    rude.script(OBJECTS, *hops, path=good.object)
    plan = rude_market.connector(f"{repo.fqn}@1.0.0")
    if ok:
        rude_market.buy(plan)
    else:
        with rude_market.untouched():
            rude_market.failed(plan, "failed", "too often")


@pytest.fixture
def free_listener():
    """A plain port of this machine, and who came to it."""
    reached, listener = [], socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            try:
                stream, peer = listener.accept()
            except OSError:
                return
            reached.append(peer)
            stream.close()
    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1], reached
    listener.close()


def test_the_api_is_not_followed_elsewhere(rude_market, rude, repo, good):
    """A repository that moved answers with a redirect; to another host it is followed by nobody who holds a token."""
    rude_market.cli("secret", "set", "user/github", "--value-file", "-", input=TOKEN + "\n", check=0)
    try:
        rude.script(API, f"redirect_to/{quoted('https://evil.test/do/echo')}", path=good.latest)
        mark = rude.mark()
        with rude_market.untouched():
            plan = rude_market.connector(f"{repo.fqn}@latest")
            assert plan["state"] == "failed", plan
        assert not [r for r in rude.since(mark) if r.header("host").startswith("evil")]
        rude.script(API, f"redirect_to/{quoted(f'https://{API}/repositories/7/releases/latest')}", path=good.latest)
        rude.script(API, "text/200/" + quoted('{"tag_name":"v1.0.0"}'), path="/repositories/7/releases/latest")
        rude_market.buy(rude_market.connector(f"{repo.fqn}@latest"))
        (moved,) = rude.since(mark, "/repositories/7/releases/latest")
        assert moved.header("authorization") == f"Bearer {TOKEN}"
    finally:
        rude_market.cli("secret", "delete", "user/github", "--yes", check=0)


# ---- what the servers see


def test_a_token_goes_to_the_api_alone(rude_market, rude, repo, good):
    rude_market.revoke(repo.fqn)
    rude_market.cli("secret", "set", "user/github", "--value-file", "-", input=TOKEN + "\n", check=0)
    mark = rude.mark()
    rude_market.buy(rude_market.suite(f"{repo.fqn}/suite.toml@latest"))
    seen = rude.since(mark)
    assert {r.header("host") for r in seen} == set(GITHUB_HOSTS), seen
    for request in seen:
        wanted = f"Bearer {TOKEN}" if request.header("host") == API else None
        assert request.header("authorization") == wanted, request
        assert request.header("cookie") is None and request.header("referer") is None, request
        assert request.sni == request.header("host") and request.method == "GET" and request.body == b""
        if request.header("host") != API:
            assert TOKEN not in repr(request)
    rude_market.cli("secret", "delete", "user/github", "--yes", check=0)
    mark = rude.mark()
    rude_market.drop(rude_market.suite(f"{repo.fqn}/suite.toml@latest"))
    (asked,) = [r for r in rude.since(mark) if r.header("host") == API]
    assert asked.header("authorization") is None
    for text in (rude_market.log(), str(rude_market.audit_lines())):
        assert TOKEN not in text
    rude_market.cli("action", "remove", "echo", check=0)


def test_a_token_that_is_refused_is_not_shown(rude_market, rude, repo, good):
    rude_market.cli("secret", "set", "user/github", "--value-file", "-", input=TOKEN + "\n", check=0)
    rude.script(API, "status/401", path=good.latest)
    with rude_market.untouched():
        error = rude_market.failed(rude_market.connector(f"{repo.fqn}@latest"), "failed", "401")
    assert TOKEN not in str(error)
    rude_market.cli("secret", "delete", "user/github", "--yes", check=0)


def test_a_token_that_is_not_one_line_is_not_sent(rude_market, rude, repo, good):
    for value in ("two\nlines\n", "with \x07 bell"):
        rude_market.cli("secret", "set", "user/github", "--value-file", "-", input=value, check=0)
        mark = rude.mark()
        rude_market.drop(rude_market.ready(rude_market.connector(f"{repo.fqn}@latest")))
        (asked,) = [r for r in rude.since(mark) if r.header("host") == API]
        assert asked.header("authorization") is None
    rude_market.cli("secret", "delete", "user/github", "--yes", check=0)


@behaviour
def tagged(c, r, tag, status, body):
    """An answer of the API with its ETag."""
    c.answer(int(status), body.encode(), [("ETag", f'"{tag}"')])


def test_what_has_not_changed_costs_nothing(rude_market, rude, repo, good):
    """The API is asked by ETag, 304 is an answer, and one that nobody asked for is none."""
    latest = quoted('{"tag_name":"v1.0.0"}')
    rude.script(API, "tagged/one/304/", path=good.latest)
    with rude_market.untouched():
        rude_market.failed(rude_market.connector(f"{repo.fqn}@latest"), "failed", "304")
    rude.script(API, f"tagged/one/200/{latest}", "tagged/one/304/", f"tagged/two/200/{quoted('{}')}", "tagged/two/304/",
                f"tagged/three/200/{latest}", path=good.latest)
    mark = rude.mark()
    rude_market.drop(rude_market.ready(rude_market.connector(f"{repo.fqn}@latest")))
    rude_market.drop(rude_market.ready(rude_market.connector(f"{repo.fqn}@latest")))
    for _ in range(2):
        rude_market.failed(rude_market.connector(f"{repo.fqn}@latest"), "invalid_release")
    rude_market.drop(rude_market.ready(rude_market.connector(f"{repo.fqn}@latest")))
    asked = [request.header("if-none-match") for request in rude.since(mark, good.latest)]
    assert asked == [None, '"one"', '"one"', '"two"', '"two"'], asked


# ---- slow and dying


@pytest.mark.parametrize("most", [0, 1, 5000])
def test_a_download_that_ends_too_early_is_tried_again_and_then_told(rude_market, rude, repo, good, most):
    rude.script(OBJECTS, *[f"cut/{good.file}/{most}"] * 4, path=good.object)
    mark = rude.mark()
    with rude_market.untouched():
        rude_market.failed(rude_market.connector(f"{repo.fqn}@1.0.0"), "network", f"{repo.fqn}@1.0.0", "nothing was changed")
    assert len(rude.since(mark, good.object)) == 4
    rude_market.buy(rude_market.connector(f"{repo.fqn}@1.0.0"))


def test_a_slow_download_says_how_far_it_is_and_arrives(rude_market, rude, repo, good):
    rude.script(OBJECTS, f"trickle/{good.file}/0.1", path=good.object)
    size = repo.asset_path("v1.0.0").stat().st_size
    plan = rude_market.preview_start("/v1/connectors", ref=f"{repo.fqn}@1.0.0")
    seen = set()

    def told():
        got = rude_market.api("GET", f"/v1/plans/{plan}").json()
        progress = got["progress"]
        if progress["phase"] == "downloading" and progress["total"]:
            assert progress["total"] == size and progress["what"] == f"{repo.fqn}@1.0.0"
            seen.add(progress["done"])
        return got["state"] != "working"
    wait_for(told, "the download", 30)
    assert len(seen) >= 2 and all(0 < done <= size for done in seen), seen
    rude_market.buy(rude_market.wait_plan(plan, ("working",)))


def test_a_download_that_drips_can_be_given_up(rude_market, rude, repo, good):
    """Dropping the plan ends the request at once; the forge sees us go."""
    rude.script(OBJECTS, "drip", path=good.object)
    with rude_market.untouched():
        plan = rude_market.preview_start("/v1/connectors", ref=f"{repo.fqn}@1.0.0")
        wait_for(lambda: rude_market.api("GET", f"/v1/plans/{plan}").json()["progress"]["done"] > 3, "the first bytes", 10)
        rude_market.drop(plan)
        assert rude_market.api("GET", f"/v1/plans/{plan}").status == 404
    rude_market.buy(rude_market.connector(f"{repo.fqn}@1.0.0"))


def test_a_plan_can_be_dropped_in_every_state(rude_market, rude, repo, good):
    def working_at(host, path, line):
        rude.script(host, line, path=path)
        plan = rude_market.preview_start("/v1/connectors", ref=f"{repo.fqn}@latest")
        wait_for(lambda: rude.since(mark, path), "the request", 10)
        return plan

    since = len(rude_market.audit_lines())
    with rude_market.untouched():
        mark = rude.mark()
        rude_market.drop(working_at(API, good.latest, "hang"))
        mark = rude.mark()
        rude_market.drop(working_at(GITHUB, good.download, "hang"))
        mark = rude.mark()
        # Between two attempts.
        rude.script(OBJECTS, "status/500", path=good.object)
        plan = rude_market.preview_start("/v1/connectors", ref=f"{repo.fqn}@1.0.0")
        wait_for(lambda: rude.since(mark, good.object), "the request", 10)
        rude_market.drop(plan)
        assert len(rude_market.audit_lines()) == since, "there was nothing to decide yet"
        rude_market.drop(rude_market.ready(rude_market.connector(f"{repo.fqn}@1.0.0")))
        plan = rude_market.connector(f"{repo.fqn}@9.9.9")
        assert plan["state"] == "failed"
        rude_market.drop(plan)
    done = rude_market.buy(rude_market.connector(f"{repo.fqn}@1.0.0"))
    rude_market.drop(done)
    assert rude_market.installed_connectors()


def test_many_downloads_at_once(rude_market, rude, forge):
    plans = []
    for number in range(14):
        repo = forge.repository("many", f"r{number}")
        repo.release_noop("1.0.0", ["echo"])
        plans.append(rude_market.preview_start("/v1/actions", ref=f"{repo.fqn}/actions/echo@latest"))
    for plan in plans:
        rude_market.drop(rude_market.ready(rude_market.wait_plan(plan, ("working",))))


# ---- what talks to the network dies


def fetchers(shop):
    return [pid for pid, line in shop.processes().items() if "--fetch" in line]


def test_the_fetcher_dies_in_the_middle_of_a_download(rude_market, rude, repo, good):
    """Killed at the first attempt the next one arrives; killed each time the plan fails with words."""
    for kills in (1, 4):
        rude.script(OBJECTS, *["drip"] * kills, path=good.object)
        mark = rude.mark()
        plan = rude_market.preview_start("/v1/connectors", ref=f"{repo.fqn}@1.0.0", force=True)
        for number in range(kills):
            wait_for(lambda mark=mark, number=number: len(rude.since(mark, good.object)) > number, "the request", 20)
            for pid in fetchers(rude_market):
                rude_market.kill(pid)
        got = rude_market.wait_plan(plan, ("working",))
        if kills == 1:
            rude_market.drop(rude_market.ready(got))
        else:
            with rude_market.untouched():
                rude_market.failed(got, "network", "ended unexpectedly")
    assert rude_market.api("GET", "/v1/status").status == 200
    rude_market.buy(rude_market.connector(f"{repo.fqn}@1.0.0"))


def test_the_keeper_dies_while_it_asks_the_api(built, rude, ca, repo):
    """It comes back locked, and with it the development overrides are gone: the plan ends with words, not never."""
    shop = Shop([], rude.connect_to(), ca.path)
    try:
        shop.start()
        repo.release_noop("1.0.0", ["echo"])
        paths = Paths(repo)
        rude.script(API, "hang", path=paths.latest)
        mark = rude.mark()
        with shop.untouched():
            plan = shop.preview_start("/v1/connectors", ref=f"{repo.fqn}@latest")
            wait_for(lambda: rude.since(mark, paths.latest), "the request", 10)
            for pid in shop.children("aileron-keeper"):
                shop.kill(pid)
            got = shop.wait_plan(plan, ("working",))
            assert got["state"] == "failed" and got["error"]["message"], got
        wait_for(lambda: shop.unlock(check=None).code == 0, "the new keeper", 10)
        shop.buy(shop.connector(f"{repo.fqn}@latest"))
    finally:
        shop.close()


def test_the_fetcher_has_nothing_to_lose(rude_market, rude, repo, good):
    """No descriptor but its channel and its own sockets, no environment, another process than the one with the vault."""
    rude.script(OBJECTS, f"trickle/{good.file}/0.2", path=good.object)
    plan = rude_market.preview_start("/v1/connectors", ref=f"{repo.fqn}@1.0.0")
    wait_for(lambda: rude_market.api("GET", f"/v1/plans/{plan}").json()["progress"]["done"], "the first bytes", 10)
    (pid,) = fetchers(rude_market)
    assert pid in rude_market.children("aileron-keeper") and len(rude_market.children("aileron-keeper")) >= 2
    lines = dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status").read().splitlines() if ":\t" in line)
    assert lines["NoNewPrivs"] == "1" and lines["Seccomp"] == "2", lines
    try:
        assert open(f"/proc/{pid}/environ", "rb").read() == b""
        targets = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        assert not [target for target in targets if str(rude_market.path) in target and "log/" not in target], targets
    except PermissionError:
        pass  # not dumpable, and we are not root
    rude_market.drop(rude_market.wait_plan(plan, ("working",)))


def test_the_unpacking_dies(rude_market, rude, repo, good):
    """Killed while it works, the plan fails with words; nothing is left of it and the next one works."""
    wasm, manifest, _ = repo.release_parts(NOOP, bind={"HOST": "example.com:443"})
    # Large enough to be met at work: random bytes in a custom section nobody reads.
    wasm += b"\0" + leb(30_000_000 + 2) + b"\1x" + os.urandom(1 << 20) * 28 + os.urandom(30_000_000 - (28 << 20))
    good_bytes = repo.asset_path("v1.0.0").read_bytes()
    repo.asset("v1.0.0", archive({"connector.wasm": wasm, "manifest.toml": manifest, "signature.sig": repo.key.sign(wasm + manifest)}))
    killed = False
    with rude_market.untouched():
        for _ in range(5):
            plan = rude_market.preview_start("/v1/connectors", ref=f"{repo.fqn}@1.0.0")
            deadline = time.monotonic() + 20
            while not killed and time.monotonic() < deadline:
                for pid in [pid for pid, line in rude_market.processes().items() if "--unpack" in line]:
                    rude_market.kill(pid)
                    killed = True
                if rude_market.api("GET", f"/v1/plans/{plan}").json()["state"] != "working":
                    break
            got = rude_market.wait_plan(plan, ("working",))
            if killed:
                break
            rude_market.drop(got)
        assert killed, "the unpacking was over before it was met"
        assert got["state"] == "failed" and got["error"]["message"], got
    repo.asset("v1.0.0", good_bytes)
    rude_market.buy(rude_market.connector(f"{repo.fqn}@1.0.0"))


def leb(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])
