"""Vault, secrets and bindings as a person sets them up on the command line: the whole program, at a terminal and without one."""
import json
import os
import pathlib
import re
import shutil
import time

import pytest

from tests.rig import paths
from tests.rig.consent import PlainBrowser
from tests.rig.home import Home, b64u
from tests.rig.ports import wait_for
from tests.rig.probing import ask, envelope, probe
from tests.rig.standin import Standin
from tests.rig.terminal import Terminal
from tests.rig.vault import GRANTS, Vault, WrongPassphrase

PASSPHRASE = "correct horse 47-battery"
KEY, WORK_KEY = "key-of-me-1f7a93c2d4", "key-of-work-8c25e0b6aa"
VARIABLE = {"AILERON_VAULT_PASSPHRASE": PASSPHRASE}


def terminal(home, *args, **more):
    return Terminal(home.environment, args, cwd=home.base, **more)


def private(home, name, content):
    path = home.base / name
    path.touch(mode=0o600)
    path.write_text(content)
    return path


@pytest.fixture
def made(home):
    """A home with a vault that was made here and is open."""
    home.cli("vault", "init", environment=VARIABLE, check=0)
    home.remember()
    return home


# --- the vault itself


def test_the_first_command_that_needs_a_vault_makes_it(home):
    with terminal(home, "secret", "set", "user/github") as shown:
        words = " ".join(shown.expect("Vault passphrase: ").split())
        assert "new Aileron vault is being created" in words and str(home.vault_file) in words and "nobody can recover" in words
        shown.line(PASSPHRASE)
        shown.expect("Confirm passphrase: ")
        shown.line(PASSPHRASE + " mistyped")
        shown.expect("not the same")
        shown.expect("Vault passphrase: ")
        shown.line(PASSPHRASE)
        shown.expect("Confirm passphrase: ")
        shown.line(PASSPHRASE)
        shown.expect("Value of user/github: ")
        shown.line("ghp_of_the_person")
        assert shown.wait() == 0 and shown.is_restored(), shown.text
        assert PASSPHRASE not in shown.text and "ghp_" not in shown.text
    assert home.vault_file.stat().st_mode & 0o777 == 0o600
    assert home.vault(PASSPHRASE).get("user/github") == b"ghp_of_the_person"
    assert home.cli("vault", "status", "--json", check=0).json()["state"] == "unlocked"


def test_a_wrong_passphrase_at_the_terminal(made):
    made.cli("vault", "lock", check=0)
    with terminal(made, "vault", "unlock") as shown:
        shown.expect("Vault passphrase: ")
        shown.line("wrong")
        started = time.monotonic()
        shown.expect("wrong")
        shown.expect("Vault passphrase: ")
        assert time.monotonic() - started > 0.5, "the pause after a wrong one"
        shown.line(PASSPHRASE)
        assert shown.wait() == 0 and shown.is_restored(), shown.text
    events = [event["event_type"] for event in made.audit()]
    assert "vault.unlock_failed" in events and "vault.unlocked" in events and "vault.created" in events


def test_a_wrong_passphrase_from_a_file(made):
    made.cli("vault", "lock", check=0)
    result = made.cli("vault", "unlock", "--passphrase-file", private(made, "wrong", "no idea\n"))
    assert result.code == 1 and "wrong" in result.err and "no idea" not in result.err
    assert made.cli("vault", "unlock", environment={"AILERON_VAULT_PASSPHRASE": "neither"}).code == 1


def test_locked_and_nobody_to_ask_is_3(made):
    made.cli("vault", "lock", check=0)
    for args in (["vault", "unlock"], ["secret", "set", "a", "--value-file", private(made, "value", "x")],
                 ["vault", "change-passphrase"]):
        result = made.cli(*args)
        assert result.code == 3 and "--passphrase-file" in result.err and result.out == "", repr(result)
    assert "aileron vault unlock" in made.cli("status", check=0).out
    assert "aileron vault unlock" in made.cli("vault", "status", check=0).out


def test_there_is_one_vault(made):
    result = made.cli("vault", "init", environment=VARIABLE)
    assert result.code == 1 and "already" in result.err
    assert made.vault(PASSPHRASE).paths() is not None


def test_the_variable_reaches_nobody_else(made):
    """Neither the daemon that this very command started, nor any of its children."""
    pids = [made.pid(), *made.processes()]
    assert len(pids) >= 2
    if os.geteuid() != 0:
        pytest.skip("the environment of an undumpable process is seen by root alone")
    for pid in pids:
        environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        assert b"PASSPHRASE" not in environment and PASSPHRASE.encode() not in environment
        assert PASSPHRASE.encode() not in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()


def test_unlock_when_open_asks_nobody(made):
    result = made.cli("vault", "unlock", check=0)
    assert "already" in result.err


def test_change_the_passphrase_at_the_terminal(made):
    made.cli("secret", "set", "kept/as-it-is", "--value-file", private(made, "value", "kept"), check=0)
    with terminal(made, "vault", "change-passphrase") as shown:
        shown.expect("Current passphrase: ")
        shown.line(PASSPHRASE)
        shown.expect("New passphrase: ")
        shown.line("the new one")
        shown.expect("Confirm passphrase: ")
        shown.line("the new one")
        assert shown.wait() == 0 and shown.is_restored(), shown.text
    assert made.vault("the new one").get("kept/as-it-is") == b"kept"
    with pytest.raises(WrongPassphrase):
        Vault.read(made.vault_file, PASSPHRASE).get("kept/as-it-is")


def test_change_the_passphrase_from_files(made):
    old, new = private(made, "old", PASSPHRASE + "\n"), private(made, "new", "from a file\n")
    assert made.cli("vault", "change-passphrase", "--passphrase-file", new, "--new-passphrase-file", new).code == 1
    made.vault(PASSPHRASE)
    time.sleep(1.1)
    made.cli("vault", "change-passphrase", "--passphrase-file", old, "--new-passphrase-file", new, check=0)
    made.cli("vault", "lock", check=0)
    made.cli("vault", "unlock", "--passphrase-file", new, check=0)


# --- secrets


def test_secrets_come_and_go(made):
    made.cli("secret", "set", "user/github", "--value-file", "-", "--label", "for=issues", input="ghp_secret\n", check=0)
    made.cli("vault", "put", "backup/key", "--value-file", private(made, "value", "backup value"), check=0)
    for locked in (False, True):
        if locked:
            made.cli("vault", "lock", check=0)
        listed = made.cli("secret", "list", check=0)
        assert re.search(r"user/github +token +.*for=issues", listed.out) and re.search(r"backup/key +secret", listed.out), listed.out
        kinds = {row["path"]: row["kind"] for row in made.cli("vault", "list", "--json", check=0).json()["entries"]}
        assert kinds == {"user/github": "token", "backup/key": "secret"}
        for text in (listed.out, made.cli("secret", "list", "--json").out, made.cli("vault", "status", "--json").out):
            assert "ghp_secret" not in text and "backup value" not in text
    made.cli("secret", "set", "user/github", "--value-file", "-", input="ghp_second", environment=VARIABLE, check=0)
    assert made.vault(PASSPHRASE).get("user/github") == b"ghp_second"
    made.cli("secret", "delete", "user/github", "--yes", check=0)
    made.cli("vault", "delete", "backup/key", "--yes", check=0)
    assert not {"user/github", "backup/key"} & set(made.vault(PASSPHRASE).paths())
    assert "nothing" in made.cli("secret", "list", check=0).out
    events = [event["event_type"] for event in made.audit()]
    assert events.count("secret.written") == 3 and events.count("secret.deleted") == 2


@pytest.mark.parametrize("path", ["", "_grants/api_key/probe/me", "_dev", "../escape", "a\nb", "x" * 201])
def test_paths_that_are_not_the_persons(made, path):
    result = made.cli("secret", "set", path, "--value-file", "-", input="x")
    assert result.code == 1 and result.err.count("\n") <= 3, repr(result)
    assert path not in made.vault(PASSPHRASE).paths()


def test_a_secret_that_looks_like_a_binding_is_refused(made):
    result = made.cli("secret", "set", "api_key/probe/me", "--value-file", "-", input="x")
    assert result.code == 1 and "binding" in result.err


# --- bindings


@pytest.fixture
def probed(built, probe_folder, hostile_server, ca):
    """A development vault without bindings, the probe installed."""
    home = Home(connect_to=hostile_server.connect_to(["evil.test", "slow.test", "other.test", "elsewhere.test"]), ca=ca.path)
    home.start()
    home.install(probe_folder, *sorted((probe_folder / "actions").glob("*.md")))
    yield home
    home.close()


def setup(home, key, *more, code=0):
    return home.cli("binding", "setup", "probe", "--key-file", "-", "--yes", *more, input=key, check=code)


def sent_key(home, hostile, **more):
    """The header that the provider saw in one call."""
    mark = hostile.mark()
    answer = probe(home, envelope("https://evil.test/do/ok", credential="api_key"), **more)
    assert answer.results and answer.results[0]["rc"] == 0, repr(answer)
    [request] = hostile.since(mark, path="/do/ok")
    return request.header("Authorization")


def used(home):
    """`binding list` once it tells the use that was just made: the broker hears of it a moment later."""
    return wait_for(lambda: "never" not in (out := home.cli("binding", "list", check=0).out) and out, "the last use", 3)


def test_a_key_at_the_terminal(probed, hostile):
    failure = probed.failure("probe")
    assert failure["class"] == "binding_required" and "aileron binding setup local://probe" in failure["message"]
    with terminal(probed, "binding", "setup", "probe") as shown:
        consent = shown.expect("Allow? [y/N]: ")
        for part in ("local://probe", "1.0.0", "api_key/probe/me", "Authorization: Bearer {key}", "The key will be sent to", "UNSIGNED",
                     "evil.test:443", "169.254.169.254:80"):
            assert part in consent, consent
        shown.line("y")
        shown.expect("Key for api_key/probe/me: ")
        shown.line(KEY)
        assert shown.wait() == 0 and shown.is_restored(), shown.text
        assert KEY not in shown.text and "bound api_key/probe/me" in shown.text
    assert sent_key(probed, hostile) == f"Bearer {KEY}"
    grant = probed.vault().grant("api_key/probe/me")
    assert grant["connector_fqn"] == "local://probe" and "https://evil.test:443" in grant["origins"]
    listed = used(probed)
    assert re.search(r"api_key/probe/me +local://probe +active +yes +\d{4}-", listed), listed


def test_no_consent_no_binding(probed):
    result = probed.cli("binding", "setup", "probe", "--key-file", "-", input=KEY)
    assert result.code == 2 and "--yes" in result.err
    with terminal(probed, "binding", "setup", "probe") as shown:
        shown.expect("Allow? [y/N]: ")
        shown.line("n")
        assert shown.wait() == 1
    assert probed.cli("binding", "list", "--json", check=0).json()["bindings"] == []
    assert not [path for path in probed.vault().paths() if path.startswith(GRANTS)]


def test_several_identities(probed, hostile):
    setup(probed, KEY)
    setup(probed, WORK_KEY, "--as", "work")
    assert sent_key(probed, hostile) == f"Bearer {KEY}", "the first is the default"
    for name in ("work", "api_key/probe/work"):
        mark = hostile.mark()
        probed.cli("action", "run", "probe", "--as", name, "--arg", f"calls={_call('https://evil.test/do/ok')}", check=0)
        [request] = hostile.since(mark, path="/do/ok")
        assert request.header("Authorization") == f"Bearer {WORK_KEY}"
    result = probed.cli("action", "run", "probe", "--as", "nobody")
    assert result.code == 1 and "nobody" in result.err
    setup(probed, WORK_KEY, "--as", "work", "--default")
    assert sent_key(probed, hostile) == f"Bearer {WORK_KEY}"
    rows = {row["identity"]: row["default"] for row in probed.cli("binding", "list", "--json").json()["bindings"]}
    assert rows == {"me": False, "work": True}
    result = probed.cli("binding", "inspect", "probe")
    assert result.code == 1 and "api_key/probe/me" in result.err and "api_key/probe/work" in result.err
    assert "api_key/probe/work" in probed.cli("binding", "inspect", "work", check=0).out


def _call(url):
    return b64u(envelope(url, credential="api_key"))


def test_setup_again_replaces_the_key(probed, hostile):
    setup(probed, KEY)
    result = setup(probed, WORK_KEY)
    assert "replaced" in result.err
    assert sent_key(probed, hostile) == f"Bearer {WORK_KEY}"


@pytest.mark.parametrize("more", [["--as", "Work"], ["--as", "oauth2/probe/me"], ["--client-id", "1"], ["--no-browser"]])
def test_what_a_key_binding_cannot_be(probed, more):
    assert setup(probed, KEY, *more, code=2).out == ""


def newer_probe(probed, probe_folder, host):
    """Version 1.1.0 of the probe, which also wants `host`, in place of the old one."""
    folder = probed.base / "newer"
    shutil.copytree(probe_folder, folder)
    manifest = folder / "manifest.toml"
    manifest.write_text(manifest.read_text().replace('version = "1.0.0"', 'version = "1.1.0"').replace(
        'hosts = [', f'hosts = ["{host}:443", '))
    for action in (folder / "actions").glob("*.md"):
        action.write_text(action.read_text().replace('version = "1.0.0"', 'version = "1.1.0"'))
        probed.cli("action", "remove", action.stem, check=0)
    probed.install(folder, *sorted((folder / "actions").glob("*.md")))


def test_rebind_after_an_update_with_a_new_host(probed, probe_folder, hostile):
    setup(probed, KEY)
    newer_probe(probed, probe_folder, "elsewhere.test")
    mark = hostile.mark()
    refused = probe(probed, envelope("https://elsewhere.test/do/ok", credential="api_key"))
    assert refused.failure and refused.failure["class"] in ("capability_denied", "binding_failed"), repr(refused)
    assert hostile.since(mark) == [], "a host that nobody consented to got nothing"
    with terminal(probed, "binding", "rebind", "api_key/probe/me") as shown:
        consent = shown.expect("Allow? [y/N]: ")
        assert "1.1.0" in consent and re.search(r"elsewhere\.test:443 +NEW", consent), consent
        assert not re.search(r"evil\.test:443 +NEW", consent), consent
        shown.line("y")
        assert shown.wait() == 0, shown.text
    assert ask(probed, "https://elsewhere.test/do/ok", credential="api_key")["status"] == 200
    [request] = hostile.since(mark, path="/do/ok")
    assert request.header("Authorization") == f"Bearer {KEY}", "the credential stayed"
    assert "https://elsewhere.test:443" in probed.cli("binding", "inspect", "me", check=0).out
    assert "binding.rebound" in [event["event_type"] for event in probed.audit()]


def test_a_binding_without_consent_is_rebound(built, probe_folder, hostile_server, ca, hostile):
    """As another implementation of the vault leaves it: a value and labels, no grant."""
    home = Home(connect_to=hostile_server.connect_to(["evil.test"]), ca=ca.path)
    try:
        home.make_vault()
        vault = home.vault()
        vault.put("api_key/probe/me", KEY, labels={"service": "probe", "identity": "me", "connector_fqn": "local://probe",
                                                   "status": "active", "created_at": "1760000000"})
        vault.write(home.vault_file)
        home.start()
        home.install(probe_folder, *sorted((probe_folder / "actions").glob("*.md")))
        failure = home.failure("probe", {})
        assert failure["class"] == "binding_failed" and "aileron binding rebind" in failure["message"], failure
        shown = home.cli("binding", "inspect", "me", check=0).out
        assert "no_grant" in shown and "aileron binding rebind api_key/probe/me" in shown
        home.cli("binding", "rebind", "me", "--yes", check=0)
        assert sent_key(home, hostile) == f"Bearer {KEY}"
    finally:
        home.close()


def test_revoke(probed):
    setup(probed, KEY)
    assert probed.cli("binding", "revoke", "me").code == 2
    with terminal(probed, "binding", "revoke", "api_key/probe/me") as shown:
        shown.expect("[y/N]: ")
        shown.line("n")
        assert shown.wait() == 1
    assert "api_key/probe/me" in probed.vault().paths()
    probed.cli("binding", "revoke", "me", "--yes", check=0)
    assert not [path for path in probed.vault().paths() if "probe" in path]
    assert probed.failure("probe")["class"] == "binding_required"


def test_inspect_shows_all_and_no_value(probed, hostile):
    setup(probed, KEY)
    sent_key(probed, hostile)
    used(probed)
    shown = probed.cli("binding", "inspect", "me", check=0).out
    for word in ("api_key/probe/me", "local://probe", "active", "https://evil.test:443", "Authorization", "created", "last used"):
        assert word in shown, shown
    listed = probed.cli("binding", "inspect", "me", "--json", check=0)
    assert listed.json()["granted"] is True and "never" not in shown
    assert KEY not in shown + listed.out
    probed.cli("vault", "lock", check=0)
    shown = probed.cli("binding", "inspect", "me", check=0).out
    assert "aileron vault unlock" in shown and "locked" in shown


def test_running_opens_a_locked_vault(probed, hostile):
    setup(probed, KEY)
    probed.cli("vault", "lock", check=0)
    result = probed.run_action("probe")
    assert result.code == 3 and "aileron vault unlock" in result.err, repr(result)
    assert result.json()["error"]["details"]["reason"] == "vault_locked"
    call = json.dumps({"calls": [_call("https://evil.test/do/ok")]})
    with terminal(probed, "action", "run", "probe", "--args", call) as shown:
        shown.expect("Vault passphrase: ")
        shown.line(probed.passphrase_file.read_text().strip())
        assert shown.wait() == 0 and shown.is_restored(), shown.text
    probed.cli("vault", "lock", check=0)
    result = probed.cli("action", "run", "probe", "--args", call, environment={
        "AILERON_VAULT_PASSPHRASE": probed.passphrase_file.read_text().strip()})
    assert result.code == 0, repr(result)


def test_a_group_readable_key_file_is_refused(probed):
    path = private(probed, "key", KEY)
    os.chmod(path, 0o640)
    result = probed.cli("binding", "setup", "probe", "--key-file", path, "--yes")
    assert result.code == 1 and "chmod 600" in result.err and KEY not in result.err
    assert "api_key/probe/me" not in probed.vault().paths()


def test_setup_without_any_vault(home, probe_folder):
    """The first `binding setup` of a fresh home makes the vault; consent comes first."""
    home.install(probe_folder)
    with terminal(home, "binding", "setup", "probe") as shown:
        shown.expect("Allow? [y/N]: ")
        shown.line("yes")
        shown.expect("Vault passphrase: ")
        shown.line(PASSPHRASE)
        shown.expect("Confirm passphrase: ")
        shown.line(PASSPHRASE)
        shown.expect("Key for api_key/probe/me: ")
        shown.line(KEY)
        assert shown.wait() == 0, shown.text
    vault = home.vault(PASSPHRASE)
    assert vault.get("api_key/probe/me") == KEY.encode() and vault.grant("api_key/probe/me")["format"] == "Bearer {key}"


def test_no_connector_is_installed(home):
    result = home.cli("binding", "setup", "probe", "--yes", "--key-file", "-", input=KEY)
    assert result.code == 1 and "connector install" in result.err and not home.vault_file.exists()


@pytest.mark.parametrize("args", [["vault", "status"], ["vault", "list"], ["secret", "list"], ["binding", "list"]])
def test_json(probed, args):
    setup(probed, KEY)
    assert not probed.cli(*args, check=0).out.startswith("{")
    probed.cli(*args, "--json", check=0).json()




# --- OAuth, pasting the address


@pytest.fixture(scope="module")
def provider(rig_folder, built):
    server = Standin(rig_folder / "pasting")
    yield server
    server.stop()


@pytest.fixture
def google(provider):
    """An open vault in front of the stand-in, the Google connector installed and not bound."""
    home = Home(connect_to=provider.connect_to(), ca=provider.ca)
    home.start()
    home.cli("connector", "install", "--local", paths.GOOGLE, "--bind", f"client_id={provider.client_id}", "--bind",
             f"client_secret={provider.client_secret}", check=0)
    home.cli("action", "add", "--local", paths.GOOGLE / "actions/list-recent-emails.md", check=0)
    home.browser = PlainBrowser(provider.connect_to(), provider.ca)
    yield home
    home.close()


def shown_url(shown):
    shown.expect("Open this page in a browser:")
    return re.search(r"https://\S+", shown.expect("Waiting for your consent")).group(0)


def test_the_pasted_address_binds(google):
    with terminal(google, "binding", "setup", "google", "--as", "pasted", extra={"SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}) as shown:
        consent = shown.expect("Allow? [y/N]: ")
        assert "gmail.googleapis.com:443" in consent and "oauth2.googleapis.com" in consent and "WARNING" not in consent
        shown.line("y")
        url = shown_url(shown)
        back = google.browser.consent(url)
        shown.expect("paste the address that your browser shows afterwards: ")
        for wrong in ("nonsense", "https://evil.test/?code=a&state=b", back.replace("state=", "state=x")):
            shown.line(wrong)
            shown.expect("paste the address that your browser shows afterwards: ")
        shown.line(back)
        assert shown.wait() == 0 and shown.is_restored(), shown.text
        assert "bound oauth2/google/pasted" in shown.text
    value = google.vault().value("oauth2/google/pasted")
    assert value["access_token"] not in shown.text and value["refresh_token"] not in shown.text
    assert google.cli("action", "run", "list-recent-emails", "--as", "pasted", check=0).json()
    row = google.cli("binding", "inspect", "pasted", "--json", check=0).json()
    assert row["state"] == "active" and row["default"] is True and row["refresh_token_present"] is True
    assert "gmail.readonly" in google.cli("binding", "inspect", "pasted", check=0).out


def test_ctrl_c_while_the_provider_is_awaited(google):
    with terminal(google, "binding", "setup", "google", "--yes", "--no-browser") as shown:
        url = shown_url(shown)
        shown.expect("paste the address that your browser shows afterwards: ")
        shown.send("http://half\x03")
        assert shown.wait() == 130 and shown.is_restored()
    assert google.browser.load(google.browser.consent(url)).status >= 400, "the flow ended with the command"
    assert google.cli("binding", "list", "--json", check=0).json()["bindings"] == []


def test_reauthorize_and_revoke(google, provider):
    for args in (["setup", "google"], ["reauthorize", "google"]):
        more = ["--yes"] if args[0] == "setup" else []
        with terminal(google, "binding", *args, "--no-browser", *more) as shown:
            back = google.browser.consent(shown_url(shown))
            assert google.browser.load(back).status == 200
            assert shown.wait() == 0 and shown.is_restored(), shown.text
    with terminal(google, "binding", "revoke", "google") as shown:
        shown.expect("Revoke oauth2/google/me and delete its credential? [y/N]: ")
        shown.line("y")
        assert shown.wait() == 0, shown.text
    assert google.cli("binding", "list", "--json", check=0).json()["bindings"] == []
    assert "oauth2/google/me" not in google.vault().paths()
