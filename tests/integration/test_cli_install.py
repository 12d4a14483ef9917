"""Installing from a forge by the command line: what a person reads, is asked and may break off; what is left afterwards."""
import concurrent.futures
import json
import os
import shutil
import signal
import time
import urllib.parse

import pytest

from tests.rig import paths
from tests.rig.consent import Flow, PlainBrowser
from tests.rig.forge import NOOP, NOOP_BIND, Key
from tests.rig.ports import wait_for
from tests.rig.terminal import Terminal
from tests.rig.vault import PASSPHRASE
from tests.rig.workspace import EMAIL

API_KEY = '\n[capabilities.credential]\nkind = "api_key"\nheader = "Authorization"\nformat = "Bearer {key}"\n'


def at(home, *args, **more):
    """The command on a terminal of its own."""
    return Terminal(home.environment, args, cwd=home.base, **more)


def suite_of(repo, version="latest"):
    return f"{repo.fqn}/suite.toml@{version}"


def release_keyed(repo):
    """A connector that wants a key, with two actions of which one asks."""
    hash = repo.release_connector(NOOP, "1.0.0", manifest=(NOOP / "manifest.toml").read_text() + API_KEY, bind=NOOP_BIND)
    gated = (NOOP / "actions/echo.md").read_text().replace("\n+++\n\n", "\n\n[approval]\nrequired = true\n+++\n\n")
    repo.release_action(NOOP / "actions/noop.md", "1.0.0", hash=hash)
    repo.release_action(NOOP / "actions/echo.md", "1.0.0", hash=hash, text=gated)
    repo.raw("v1.0.0", "suite.toml", 'name = "two"\ndescription = "Two of them."\nactions = ["actions/noop", "actions/echo"]\n')
    repo.latest("v1.0.0")
    return hash


def lines(text):
    return [line.rstrip() for line in text.splitlines()]


# ---- the whole way


def test_add_suite_from_a_locked_vault_to_bound_actions(shop, repo):
    hash = release_keyed(repo)
    shop.cli("vault", "lock", check=0)
    with at(shop, "action", "add-suite", suite_of(repo)) as shown:
        # The vault comes first, before anything is asked of the forge.
        before = shown.expect("Vault passphrase: ")
        assert "publisher" not in before and not shown.echoes()
        shown.line(PASSPHRASE)
        trust = shown.expect(f"Trust publisher {repo.fqn}? [y/N]:")
        assert f"The publisher {repo.fqn} is not yet trusted." in trust
        assert "keys/publisher.pub of its default branch" in trust
        assert f"https://raw.githubusercontent.com/{repo.owner}/{repo.name}/HEAD/keys/publisher.pub" in trust
        assert f"Fingerprint: {repo.key.fingerprint}\n" in trust
        assert not (shop.path / "keyring.json").exists()
        shown.line("y")
        consent = shown.expect("Install 2 actions and 1 connector? [y/N]:")
        assert not (shop.path / "keyring.json").exists() and not shop.installed_connectors()
        rows = {line.split()[0]: line for line in consent.splitlines() if line.startswith(("noop ", "echo "))}
        assert "✋ ACTION" in rows["echo"] and "✋" not in rows["noop"]
        for words in (repo.fqn, "signature", "valid", hash, repo.key.fingerprint, "connects only to example.com"):
            assert words in consent, words
        shown.line("yes")
        done = shown.expect("Allow? [y/N]:")
        assert f"✓ Trusted publisher {repo.fqn}\n  Fingerprint: {repo.key.fingerprint}\n  Keyring: {shop.path}/keyring.json\n" in done
        assert f"connector {repo.fqn} ✓\n[1/2] noop ✓\n[2/2] echo ✓\n" in done
        assert "The key will be sent to" in done
        shown.line("y")
        shown.expect("Key for ")
        shown.expect(": ")
        shown.line("the-key-of-the-test")
        assert shown.wait() == 0, shown.text
        assert "the-key-of-the-test" not in shown.text and shown.is_restored()
        table = lines(shown.text[shown.text.index("NAME "):])
        assert [line.split()[0] for line in table[1:4]] == [repo.fqn, "noop", "echo"] and "3 of 3 done" in table
    assert shop.installed_actions() == {"noop", "echo"}
    assert [row["connector_fqn"] for row in shop.cli("binding", "list", "--json", check=0).json()["bindings"]] == [repo.fqn]
    # Again: nothing to ask, nothing to do.
    with shop.untouched():
        begun = time.monotonic()
        again = shop.cli("action", "add-suite", suite_of(repo), "--yes", check=0)
        assert again.out == "already installed: 2 actions\n", repr(again)
        assert time.monotonic() - begun < 2


def test_ten_actions_without_a_terminal(shop, repo):
    repo.release_google()
    begun = time.monotonic()
    done = shop.cli("action", "add-suite", suite_of(repo), "--yes", "--no-bind", check=0)
    took = time.monotonic() - begun
    assert took < 3, f"{took:.2f} s"  # under one where nothing else runs
    told = [line for line in done.out.splitlines() if line.startswith("[")]
    assert [line.split()[0] for line in told] == [f"[{i}/10]" for i in range(1, 11)]
    assert all(line.endswith(" ✓") for line in told) and "11 of 11 done" in done.out
    # What --yes agreed to was said all the same, and nothing of it is in the answer.
    assert f"Fingerprint: {repo.key.fingerprint}" in done.err and "Install 10 actions and 1 connector?" not in done.err
    assert "✓ can send mail as you, each time only after you approve" in done.err
    for name, badge in (("send-email", "✋ COMMS SEND"), ("create-calendar-event", "✋ ACTION")):
        assert any(line.startswith(name) and badge in line for line in done.err.splitlines()), done.err
    with shop.untouched():
        assert shop.cli("action", "add-suite", suite_of(repo), "--yes", "--no-bind", check=0).out == "already installed: 10 actions\n"


def test_json_is_the_only_answer(shop, repo):
    repo.release_noop()
    done = shop.cli("action", "add-suite", suite_of(repo), "--yes", "--no-bind", "--json", check=0).json()
    assert {(row["name"], row["state"]) for row in done["results"]} == {
        (repo.fqn, "installed"), ("noop", "installed"), ("echo", "installed")}
    again = shop.cli("connector", "install", f"{repo.fqn}@1.0.0", "--yes", "--json", check=0).json()
    assert again["connectors"][0]["already_installed"]


def test_a_file_of_ones_own_and_each_of_two_publishers(shop, forge):
    one, two = forge.repository("acme", "one"), forge.repository("other", "two")
    one.release_noop("1.0.0", ["noop"])
    two.release_noop("1.0.0", ["echo"])
    file = shop.base / "mine.toml"
    file.write_text(f'name = "mine"\ndescription = "Of two."\nactions = ["{one.fqn}/actions/noop@1.0.0", "{two.fqn}/actions/echo@1.0.0"]\n')
    with at(shop, "action", "add-suite", "mine.toml", "--no-bind", columns=160) as shown:
        for repo in (one, two):
            assert repo.key.fingerprint in shown.expect(f"Trust publisher {repo.fqn}? [y/N]:")
            shown.line("y")
        table = shown.expect("Install 2 actions and 2 connectors? [y/N]:")
        assert "PUBLISHER" in table and table.count(one.fqn) >= 2 and table.count(two.fqn) >= 2
        shown.line("y")
        assert shown.wait() == 0, shown.text
    assert shop.installed_actions() == {"noop", "echo"}


def test_each_asks_for_every_action_and_installs_the_chosen(shop, repo):
    repo.release_noop("1.0.0", ["noop", "echo", "fail"])
    shop.trust(repo.fqn, repo.key)
    with at(shop, "action", "add-suite", suite_of(repo), "--each", "--no-bind") as shown:
        for name, answer in (("noop", "n"), ("echo", "y"), ("fail", "")):
            shown.expect(f"Install {name}? [y/N]:")
            shown.line(answer)
        assert shown.wait() == 0, shown.text
        assert "[1/1] echo ✓" in shown.text and "2 of 2 done" in shown.text
    assert shop.installed_actions() == {"echo"}
    with shop.untouched(), at(shop, "action", "add-suite", suite_of(repo), "--each", "--no-bind") as shown:
        for name in ("noop", "fail"):
            shown.expect(f"Install {name}? [y/N]:")
            shown.line("n")
        assert shown.wait() == 1 and "nothing was installed" in shown.text


def test_one_that_fails_does_not_stop_the_others(shop, forge):
    """Nine of one publisher, and the tenth needs a connector that cannot run."""
    good, bad = forge.repository("acme", "tools"), forge.repository("acme", "broken")
    good.release_google()
    hash = bad.release_connector(NOOP, "1.0.0", bind=NOOP_BIND, wasm=b"\0asm\1\0\0\0")
    bad.release_action(NOOP / "actions/fetch.md", "1.0.0", hash=hash)
    names = [file.stem for file in sorted((paths.GOOGLE / "actions").glob("*.md"))][:9]
    listed = [f"{good.fqn}/actions/{name}@1.0.0" for name in names]
    listed.insert(4, f"{bad.fqn}/actions/fetch@1.0.0")
    file = shop.base / "ten.toml"
    file.write_text(f'name = "ten"\ndescription = "Ten."\nactions = {json.dumps(listed)}\n')
    done = shop.cli("action", "add-suite", file, "--yes", "--no-bind", check=1)
    told = {line.split()[1]: line for line in done.out.splitlines() if line.startswith("[")}
    assert len(told) == 10 and told["fetch"].startswith("[5/10] fetch ✗ "), repr(done)
    assert all(told[name].endswith(" ✓") for name in names)
    assert any(line.startswith(bad.fqn) and "FAILED" in line for line in done.out.splitlines()), repr(done)
    assert "10 of 12 done, 2 failed" in done.out
    assert shop.installed_actions() == set(names) and len(shop.installed_connectors()) == 1


def test_the_account_is_connected_in_the_same_run_and_used_by_all(shop, repo, nginx, ca, workspace):
    repo.release_google()
    workspace.reset()
    workspace.register(f"{shop.discovery()['url'].rstrip('/')}/oauth2/callback")
    browser = PlainBrowser(nginx.connect_to(), ca.path)
    flow = Flow(shop, "action", "add-suite", suite_of(repo), "--yes")
    assert browser.load(browser.consent(flow.url, EMAIL)).status == 200
    code, out, err = flow.end()
    assert code == 0, out + err
    assert err.count("needs a credential") == 1 and "✓ bound oauth2/" in out.replace("\x1b", ""), out + err
    assert shop.output("list-recent-emails")["messages"] and "events" in shop.output("list-upcoming-events")
    with shop.untouched():
        again = shop.cli("action", "add-suite", suite_of(repo), "--yes", check=0)
        assert again.out == "already installed: 10 actions\n" and "needs a credential" not in again.err, repr(again)


def test_the_vault_is_made_first(home):
    """Before the forge is asked at all: this reference is refused after it."""
    with at(home, "action", "add-suite", "gitlab://acme/tools/suite.toml@1.0.0") as shown:
        shown.expect("A new Aileron vault is being created.")
        for prompt in ("Vault passphrase: ", "Confirm passphrase: "):
            shown.expect(prompt)
            shown.line(PASSPHRASE)
        assert shown.wait() == 2 and "GitLab" in shown.text, shown.text
    assert home.vault_file.exists()


# ---- no


@pytest.mark.parametrize("command", ["suite", "action", "connector"])
@pytest.mark.parametrize("answers", [["n"], [""], ["y", "n"], ["y", "maybe"]])
def test_a_no_leaves_nothing(market, repo, command, answers):
    repo.release_noop()
    args = {"suite": ["action", "add-suite", suite_of(repo), "--no-bind"], "connector": ["connector", "install", f"{repo.fqn}@1.0.0"],
            "action": ["action", "add", f"{repo.fqn}/actions/echo@latest"]}[command]
    since = len(market.audit_lines())
    with market.untouched(), at(market, *args) as shown:
        for answer in answers:
            shown.expect("? [y/N]:")
            shown.line(answer)
        assert shown.wait() == 1, shown.text
        assert shown.text.count("nothing was installed") == 1 and "✓ Trusted" not in shown.text
    kinds = {row["event_type"] for row in market.receipts(since)}
    assert "consent.cancelled" in kinds and not kinds & {"keyring.trusted", "connector.installed", "action.installed"}, kinds


def test_nobody_to_ask_is_told_before_anything_is_fetched(market, repo, nginx):
    repo.release_noop()
    mark = nginx.mark()
    with market.untouched():
        for args in (["action", "add-suite", suite_of(repo)], ["action", "add", f"{repo.fqn}/actions/echo@latest"],
                     ["connector", "install", f"{repo.fqn}@latest"], ["keyring", "trust", repo.fqn], ["action", "update", "--all"]):
            refused = market.cli(*args, check=2)
            assert "nobody to ask" in refused.err and "--yes" in refused.err and not refused.out, repr(refused)
    assert not nginx.seen(mark, settle=0.3)


def test_yes_does_not_answer_a_failed_check(market, repo, forge):
    repo.release_noop(key=Key(forge.folder, "stranger"))
    with market.untouched():
        for force in ([], ["--force"]):
            refused = market.cli("action", "add-suite", suite_of(repo), "--yes", "--no-bind", *force, check=1)
            assert "signature" in refused.err and not refused.out, repr(refused)


# ---- Ctrl-C


@pytest.mark.parametrize("prompts", [0, 1])
def test_ctrl_c_at_every_question(market, repo, prompts):
    repo.release_noop()
    with market.untouched(), at(market, "action", "add-suite", suite_of(repo), "--no-bind") as shown:
        for _ in range(prompts):
            shown.expect("? [y/N]:")
            shown.line("y")
        shown.expect("? [y/N]:")
        shown.send("\x03")
        assert shown.wait() == 128 + signal.SIGINT, shown.text
        assert "aileron: interrupted; nothing was installed" in shown.text and shown.is_restored()
    # Nothing of it is left in the daemon: as many plans as ever can be made.
    made = [market.ready(market.connector(f"{repo.fqn}@1.0.0"))["plan"] for _ in range(16)]
    for plan in made:
        market.drop(plan)


def test_ctrl_c_while_it_installs_leaves_nothing_half_done(shop, repo):
    repo.release_google()
    shop.trust(repo.fqn, repo.key)
    with at(shop, "action", "add-suite", suite_of(repo), "--no-bind") as shown:
        shown.expect("? [y/N]:")
        shown.line("y")
        shown.send("\x03")
        assert shown.wait() in (0, 128 + signal.SIGINT), shown.text
        said_no = "nothing was installed" in shown.text
    if said_no:
        assert not shop.installed_actions() and not shop.installed_connectors()
    else:
        wait_for(lambda: len(shop.installed_actions()) == 10, "all of what was agreed to")
        assert "already installed: 10" in shop.cli("action", "add-suite", suite_of(repo), "--yes", "--no-bind", check=0).out


def test_two_at_once_come_to_the_same(shop, repo):
    repo.release_google()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        runs = [pool.submit(shop.cli, "action", "add-suite", suite_of(repo), "--yes", "--no-bind") for _ in range(3)]
        assert [run.result().code for run in runs] == [0, 0, 0], [run.result() for run in runs]
    assert len(shop.installed_actions()) == 10 and len(shop.installed_connectors()) == 1
    assert len(shop.cli("keyring", "list", "--json", check=0).json()["publishers"]) == 1


def test_a_locked_vault_and_nobody_to_ask(shop, repo, nginx):
    repo.release_noop()
    shop.cli("vault", "lock", check=0)
    mark = nginx.mark()
    with shop.untouched():
        assert "passphrase" in shop.cli("action", "add-suite", suite_of(repo), "--yes", check=3).err
    assert not nginx.seen(mark, settle=0.3)


def test_ctrl_c_at_the_passphrase(shop, repo, nginx):
    repo.release_noop()
    shop.cli("vault", "lock", check=0)
    mark = nginx.mark()
    with shop.untouched(), at(shop, "action", "add-suite", suite_of(repo)) as shown:
        shown.expect("Vault passphrase: ")
        shown.send("\x03")
        assert shown.wait() == 128 + signal.SIGINT and shown.is_restored(), shown.text
    assert not nginx.seen(mark, settle=0.3)


def test_ctrl_c_at_the_credential_keeps_what_was_agreed_to(shop, repo):
    release_keyed(repo)
    with at(shop, "action", "add-suite", suite_of(repo)) as shown:
        for _ in range(2):
            shown.expect("? [y/N]:")
            shown.line("y")
        shown.expect("Allow? [y/N]:")
        shown.send("\x03")
        assert shown.wait() == 128 + signal.SIGINT and shown.is_restored(), shown.text
        assert "nothing was installed" not in shown.text
    assert shop.installed_actions() == {"noop", "echo"}
    assert shop.cli("binding", "list", "--json", check=0).json()["bindings"] == []


def test_a_slow_download_is_shown_and_can_be_broken_off(rude_market, rude, repo):
    repo.release_noop("1.0.0", ["echo"])
    path = f"/{repo.owner}/{repo.name}/v1.0.0/aileron.tar.gz"
    file = urllib.parse.quote(str(repo.asset_path("v1.0.0")), safe="")
    rude.script("objects.githubusercontent.com", f"trickle/{file}/0.5", path=path)
    with rude_market.untouched(), at(rude_market, "connector", "install", f"{repo.fqn}@1.0.0") as shown:
        told = shown.expect("downloading, ")
        assert f"{repo.fqn}@1.0.0" in told
        shown.expect("%)")
        shown.send("\x03")
        begun = time.monotonic()
        assert shown.wait() == 128 + signal.SIGINT, shown.text
        assert time.monotonic() - begun < 3 and "interrupted; nothing was installed" in shown.text
    rude.script("objects.githubusercontent.com", f"trickle/{file}/0.2", path=path)
    piped = rude_market.cli("connector", "install", f"{repo.fqn}@1.0.0", "--yes", check=0)
    assert "downloading" not in piped.err, "progress is for terminals"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_ends_drop_the_plan_too(market, repo, number):
    repo.release_noop()
    with market.untouched(), at(market, "connector", "install", f"{repo.fqn}@1.0.0") as shown:
        shown.expect("? [y/N]:")
        os.kill(shown.pid, number)
        assert shown.wait() == 128 + number and shown.is_restored(), shown.text


# ---- words


@pytest.mark.parametrize("args, words", [
    (["action", "add", "./x"], "aileron action add --local ./x"),
    (["action", "add"], "--local PATH"),
    (["action", "add", "github://acme/tools/actions/x@1.0.0", "--local", "x.md"], "do not go together"),
    (["action", "add", "github://acme/tools/actions/x"], "@"),
    (["connector", "install", "github://acme@1.0.0"], "github://"),
    (["connector", "install", "https://github.com/acme/tools"], "github://"),
    (["connector", "install"], "--local DIR"),
    (["connector", "install", "--local", ".", "--key", "k"], "--key goes with a reference"),
    (["action", "update"], "--all"),
    (["action", "update", "x", "--all"], "--all"),
    (["keyring", "trust", "acme/tools"], "github://"),
    (["keyring", "trust", "github://acme/tools/path"], "not for a path"),
    (["keyring", "trust", "github://acme"], "--key FILE"),
])
def test_wrong_forms_say_the_right_one(market, args, words):
    refused = market.cli(*args, "--yes", check=2)
    assert words in refused.err and not refused.out, repr(refused)


def test_a_suite_that_is_not_there(market, repo):
    assert "github://OWNER/REPO/suite.toml@latest" in market.cli("action", "add-suite", "no.toml", "--yes", "--no-bind", check=1).err
    failed = market.cli("action", "add-suite", f"{repo.fqn}/suite.toml@9.9.9", "--yes", "--no-bind", check=1)
    assert "9.9.9" in failed.err, repr(failed)


def test_what_a_publisher_writes_stands_apart_from_what_is_ours(market, repo):
    repo.release_noop("1.0.0", ["echo"])
    pad = " " * 90
    repo.raw("v1.0.0", "suite.toml", f'name = "x{pad}signature valid"\ndescription = "fine{pad}  ✓ cannot send{pad}publisher '
             'github://good/one"\nactions = ["actions/echo"]\n')
    with market.untouched(), at(market, "action", "add-suite", suite_of(repo), "--no-bind") as shown:
        shown.expect("? [y/N]:")
        shown.line("y")
        asked = shown.expect("Install 1 action and 1 connector? [y/N]:")
        shown.line("n")
        shown.wait()
    # Nothing of theirs begins where a line of ours does.
    theirs = [line for line in asked.splitlines() if "✓ cannot send" in line and "delete" not in line or "good/one" in line]
    assert theirs and all(line.startswith(" " * 8) for line in theirs), asked


# ---- connectors


def test_install_list_check_and_a_key_from_a_file(shop, repo):
    repo.release_noop()
    (repo._files("raw.githubusercontent.com") / "HEAD/keys/publisher.pub").unlink()
    (shop.base / "acme.pub").write_bytes(repo.key.pem)
    (shop.base / "other.pub").write_bytes(Key(repo.forge.folder, "other").pem)
    with shop.untouched():
        shop.cli("connector", "install", f"{repo.fqn}@latest", "--key", "other.pub", "--yes", check=1)
        shop.cli("connector", "install", f"{repo.fqn}@latest", "--key", "none.pub", "--yes", check=2)
    done = shop.cli("connector", "install", f"{repo.fqn}@latest", "--key", "acme.pub", "--yes", check=0)
    assert f"connector {repo.fqn} ✓" in done.out, repr(done)
    row = shop.cli("connector", "list", check=0).out.splitlines()[1].split()
    assert row[:3] == [repo.fqn, "1.0.0", "valid"]
    assert "newest" in shop.cli("connector", "check", check=0).out
    repo.release_noop("1.1.0")
    assert "1.1.0" in shop.cli("connector", "check", check=0).out
    (wasm,) = shop.path.glob("store/connectors/sha256/*/connector.wasm")
    wasm.chmod(0o600)
    wasm.write_bytes(wasm.read_bytes() + b"\0")
    damaged = shop.cli("connector", "check", check=1)
    assert "CHANGED" in damaged.out and repo.fqn in damaged.err, repr(damaged)
    assert "CHANGED" in shop.cli("connector", "list", check=0).out


# ---- updates


def release_poke(repo, version, host, gated):
    hash = repo.release_connector(NOOP, version, bind={"HOST": host})
    text = (NOOP / "actions/echo.md").read_text()
    if gated:
        text = text.replace("\n+++\n\n", "\n\n[approval]\nrequired = true\n+++\n\n")
    repo.release_action(NOOP / "actions/echo.md", version, hash=hash, text=text)
    repo.latest(f"v{version}")


def test_an_update_shows_what_is_loud_first(shop, repo):
    release_poke(repo, "1.0.0", "example.com:443", True)
    shop.cli("action", "add", f"{repo.fqn}/actions/echo@latest", "--yes", "--no-bind", check=0)
    current = shop.cli("action", "update", "--all", "--yes", check=0)
    assert current.out == "echo is up to date (1.0.0)\n", repr(current)
    release_poke(repo, "1.1.0", "elsewhere.example:443", False)
    with shop.untouched(), at(shop, "action", "update", "echo") as shown:
        asked = shown.expect("Update 1 action and install 1 connector? [y/N]:")
        changes = asked[asked.index("What changes:"):]
        gate, host = changes.index("⚠ NEW: echo: echo will run WITHOUT asking you"), changes.index("elsewhere.example")
        assert gate < host < changes.index("ACTION  ") and "1.0.0 → 1.1.0" in changes
        assert "⚠ NEW:" in changes[gate + 5:host]
        shown.line("n")
        assert shown.wait() == 1 and "nothing was installed" in shown.text
    with shop.untouched(), at(shop, "action", "update", "--all") as shown:
        shown.expect("? [y/N]:")
        shown.send("\x03")
        assert shown.wait() == 130 and "nothing was installed" in shown.text and shown.is_restored()
    done = shop.cli("action", "update", "--all", "--yes", check=0)
    assert "[1/1] echo ✓ updated to 1.1.0" in done.out and "WITHOUT asking you" in done.err, repr(done)
    assert shop.cli("action", "list", "--json", check=0).json()["actions"][0]["version"] == "1.1.0"
    assert "no action" in shop.cli("action", "update", "nothing", "--yes", check=1).err


def test_more_updates_than_a_daemon_holds_plans_for(shop, repo, tmp_path):
    """Thirteen: twelve together, and the last with the next run, which is said."""
    files = [tmp_path / f"echo-{i:02}.md" for i in range(13)]
    for file in files:
        file.write_text((NOOP / "actions/echo.md").read_text().replace('name = "echo"', f'name = "{file.stem}"'))
    for version in ("1.0.0", "1.1.0"):
        hash = repo.release_connector(NOOP, version, bind=NOOP_BIND)
        for file in files:
            repo.release_action(file, version, hash=hash)
    repo.raw("v1.0.0", "suite.toml", 'name = "many"\ndescription = "Many."\nactions = '
             + json.dumps([f"actions/{file.stem}" for file in files]) + "\n")
    shop.cli("action", "add-suite", suite_of(repo, "1.0.0"), "--yes", "--no-bind", check=0)
    repo.latest("v1.1.0")
    first = shop.cli("action", "update", "--all", "--yes", check=0)
    assert first.out.count("✓ updated to 1.1.0") == 12 and "[12/12]" in first.out, repr(first)
    assert first.err.count("comes with the next run") == 1
    # What all of them can do is said once.
    assert first.err.count("connects only to") == 1, repr(first)
    second = shop.cli("action", "update", "--all", "--yes", check=0)
    assert second.out.count("✓ updated to 1.1.0") == 1 and second.out.count("is up to date") == 12, repr(second)


def test_a_name_that_changes_hands_is_told_first(shop, forge):
    mine, theirs = forge.repository("acme", "tools"), forge.repository("evil", "tools")
    mine.release_noop("1.0.0", ["echo"])
    theirs.release_noop("2.0.0", ["echo"])
    shop.cli("action", "add", f"{mine.fqn}/actions/echo@latest", "--yes", "--no-bind", check=0)
    with shop.untouched(), at(shop, "action", "add", f"{theirs.fqn}/actions/echo@latest", "--no-bind") as shown:
        shown.expect("? [y/N]:")
        shown.line("y")
        asked = shown.expect("? [y/N]:")
        assert f"⚠ NEW: echo: is {theirs.fqn}/actions/echo from now on" in asked and f"is {mine.fqn}/actions/echo" in asked, asked
        shown.send("\x03")
        assert shown.wait() == 130


def test_an_edited_action_is_told_of_and_mended(shop, repo):
    repo.release_noop("1.0.0", ["echo"])
    shop.cli("action", "add", f"{repo.fqn}/actions/echo@latest", "--yes", "--no-bind", check=0)
    file = shop.path / "actions/echo.md"
    whole = file.read_bytes()
    file.write_bytes(whole + b"\nmore\n")
    shown = shop.cli("action", "list", check=0)
    assert "echo" not in shown.out and "echo" in shown.err and "update" in shown.err, repr(shown)
    shop.cli("action", "update", "echo", "--yes", check=0)
    assert file.read_bytes() == whole


@pytest.mark.parametrize("version", ["latest", "1.0.0"])
def test_what_is_there_is_not_installed_again(shop, repo, version):
    repo.release_noop("1.0.0", ["echo"])
    action, connector = f"{repo.fqn}/actions/echo@{version}", f"{repo.fqn}@{version}"
    shop.cli("action", "add", action, "--yes", "--no-bind", check=0)
    since = len(shop.audit_lines())
    with shop.untouched():
        assert shop.cli("action", "add", action, "--yes", "--no-bind", check=0).out == "already installed: 1 action\n"
        assert shop.cli("connector", "install", connector, "--yes", check=0).out == f"already installed: {repo.fqn}@1.0.0\n"
    assert not {row["event_type"] for row in shop.receipts(since)} & {"consent.cancelled", "action.updated", "action.installed"}
    assert "[1/1] echo ✓" in shop.cli("action", "add", action, "--yes", "--no-bind", "--force", check=0).out


# ---- the keyring


def test_the_keyring(shop, repo, forge):
    repo.release_noop("1.0.0", ["echo"])
    assert shop.cli("keyring", "list", check=0).out == "nobody is trusted\n"
    with shop.untouched(), at(shop, "keyring", "trust", repo.fqn) as shown:
        asked = shown.expect(f"Trust publisher {repo.fqn}? [y/N]:")
        assert f"Fingerprint: {repo.key.fingerprint}" in asked and "not yet trusted" in asked
        shown.line("n")
        assert shown.wait() == 1
    with at(shop, "keyring", "trust", repo.fqn) as shown:
        shown.expect("? [y/N]:")
        shown.line("y")
        assert shown.wait() == 0
        assert f"✓ Trusted publisher {repo.fqn}\n  Fingerprint: {repo.key.fingerprint}\n  Keyring: {shop.path}/keyring.json" in shown.text
    assert "trusted already" in shop.cli("keyring", "trust", repo.fqn, "--yes", check=0).err
    row = shop.cli("keyring", "list", check=0).out.splitlines()[1]
    assert repo.fqn in row and repo.key.fingerprint in row
    owner = Key(forge.folder, "owner")
    (shop.base / "owner.pub").write_bytes(owner.pem)
    shop.cli("keyring", "trust", "github://acme", "--key", "owner.pub", "--yes", check=0)
    assert {row["fingerprint"] for row in shop.cli("keyring", "list", "--json", check=0).json()["publishers"]} == {
        repo.key.fingerprint, owner.fingerprint}
    shop.cli("action", "add", f"{repo.fqn}/actions/echo@latest", "--yes", "--no-bind", check=0)
    with at(shop, "keyring", "revoke", repo.fqn) as shown:
        told = shown.expect(f"Revoke the trust in {repo.fqn}? [y/N]:")
        assert f"connector {repo.fqn} 1.0.0" in told and "action echo 1.0.0" in told
        shown.line("y")
        assert shown.wait() == 0
    assert "signature" in shop.cli("action", "run", "echo", check=1).err
    assert "INVALID" in shop.cli("connector", "list", check=0).out
    assert "echo" in shop.cli("action", "list", check=0).err
    assert shop.cli("action", "remove", "echo", check=0).out == f"removed echo 1.0.0, signed as {repo.fqn}/actions/echo\n"
    shop.cli("keyring", "revoke", repo.fqn, "--yes", check=1)
    shop.cli("keyring", "revoke", "github://acme", "--fingerprint", repo.key.fingerprint, "--yes", check=1)
    shop.cli("keyring", "revoke", "github://acme", "--fingerprint", owner.fingerprint, "--yes", check=0)
    assert shop.cli("keyring", "list", check=0).out == "nobody is trusted\n"


# ---- sync


def test_sync_brings_back_what_was_removed_by_hand(shop, repo):
    hash = release_keyed(repo)
    shop.cli("action", "add-suite", suite_of(repo), "--yes", "--no-bind", check=0)
    folder = shop.path / "store/connectors/sha256" / hash.removeprefix("sha256:")
    shutil.rmtree(folder)
    lacks = shop.cli("sync", check=2)
    assert "nobody to ask" in lacks.err
    with at(shop, "sync", "--bind-all") as shown:
        told = shown.expect("Install 1 connector? [y/N]:")
        assert f"{repo.fqn}@1.0.0 is not installed, needed by echo, noop" in told.replace("noop, echo", "echo, noop")
        shown.line("y")
        shown.expect("Allow? [y/N]:")
        shown.line("y")
        shown.expect("Key for ")
        shown.line("the-key-of-the-test")
        assert shown.wait() == 0, shown.text
        assert "everything that the installed actions need is there" in shown.text
    assert (folder / "connector.wasm").exists()
    assert "everything" in shop.cli("sync", check=0).out
    assert shop.cli("sync", "--json", check=0).json()["ok"]
