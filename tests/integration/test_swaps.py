"""Entries of secrets.json swapped, moved, edited or brought back on disk: no secret ever goes where its own grant does not say.

Two connectors with an OAuth binding each, whose tokens are over, so that calls send access tokens, refresh tokens and client
secrets. Both manifests allow every host: the sealed grant alone stands between a secret and the wrong server.
"""
import copy
import json
import secrets
import shutil

import pytest

from tests.conftest import PROBE_HOSTS
from tests.rig.home import Home, credential
from tests.rig.probing import envelope, probe
from tests.rig.search import Needles
from tests.rig.vault import GRANTS, PASSPHRASE, Damaged, Vault, oauth_value

EXPIRED = "2020-01-01T00:00:00Z"
HOSTS = [f"{host}:443" for host in PROBE_HOSTS]
# What each server may be sent, by the name of the secret.
MAY_SEE = {
    "evil.test": {"a access", "a new access"},
    "slow.test": {"a refresh", "a new refresh", "a client secret"},
    "other.test": {"b access", "b new access"},
    "private.test": {"b refresh", "b new refresh", "b client secret"},
}
SECRETS = {f"{side} {kind}": f"{secrets.token_hex(16)}-{side}" for side in "ab"
           for kind in ("access", "new access", "refresh", "new refresh", "client secret")}
NEEDLES = Needles(**SECRETS)
A, B = "oauth2/a/me", "oauth2/b/me"


def row(side):
    api, token_host = {"a": ("evil.test", "slow.test"), "b": ("other.test", "private.test")}[side]
    value = oauth_value(SECRETS[f"{side} access"], SECRETS[f"{side} refresh"], EXPIRED, f"client-{side}",
                        SECRETS[f"{side} client secret"], f"https://{token_host}/token")
    return credential(f"oauth2/{side}/me", f"local://{side}", [f"https://{api}:443"], value)


def make_connector(probe_folder, folder, side):
    """The probe under another name, with an OAuth credential and every host allowed."""
    work = folder / side
    shutil.copytree(probe_folder, work)
    manifest = work / "manifest.toml"
    text = manifest.read_text().replace("local://probe", f"local://{side}")
    before, _, rest = text.partition("[capabilities.network]")
    after = rest.partition("[capabilities.limits]")[2]
    manifest.write_text(f"""{before}[capabilities.network]
hosts = {json.dumps(HOSTS)}

[capabilities.credential]
kind = "oauth2"

[capabilities.credential.oauth2]
authorize_url = "https://elsewhere.test/authorize"
token_url = "https://elsewhere.test/token"
client_id = "public-{side}"
scopes = ["read"]

[capabilities.limits]{after}""")
    action = work / f"actions/probe-{side}.md"
    action.write_text((work / "actions/probe-once.md").read_text().replace("local://probe", f"local://{side}").replace("probe-once", f"probe-{side}"))
    return work, action


@pytest.fixture
def pair(built, probe_folder, hostile_server, hostile, ca, tmp_path):
    home = Home([row("a"), row("b")], hostile_server.connect_to(PROBE_HOSTS), ca.path)
    try:
        home.start()
        for side in "ab":
            work, action = make_connector(probe_folder, tmp_path, side)
            home.install(work, action)
        yield home
    finally:
        home.close()


def answer_everything(hostile):
    """Each token endpoint gives new tokens to whoever asks, each API says yes."""
    for side, host in (("a", "slow.test"), ("b", "private.test")):
        hostile.script(host, *[f"tokens/{SECRETS[f'{side} new access']}/{SECRETS[f'{side} new refresh']}"] * 20, path="/token")
    hostile.script("elsewhere.test", *["tokens/stolen-access/stolen-refresh"] * 20, path="/token")


def call_everything(home):
    """Both connectors ask every host, with their credential. What comes of it is returned."""
    return {(side, host): probe(home, envelope(f"https://{host}/do/ok", credential="oauth2"), action=f"probe-{side}")
            for side in "ab" for host in PROBE_HOSTS}


def check_seen(hostile, mark):
    """No server was sent what is not its own. Returns the names of what was sent at all."""
    sent = set()
    for seen in hostile.since(mark):
        host = seen.header("host").split(":")[0]
        text = f"{seen.target}\n{seen.headers}\n".encode() + seen.body
        names = {name.rsplit(" (", 1)[0] for name in NEEDLES.within(text)}
        assert names <= MAY_SEE.get(host, set()), f"{host} was sent {names}: {text[:500]!r}"
        sent |= names
    return sent


def swap(vault, one, other, key="value"):
    a, b = vault.entries[one], vault.entries[other]
    a[key], b[key] = b[key], a[key]


def swap_values(vault):
    swap(vault, A, B)


def swap_grants(vault):
    swap(vault, GRANTS + A, GRANTS + B)


def swap_values_and_grants(vault):
    swap_values(vault)
    swap_grants(vault)


def swap_entries_whole(vault):
    swap_values_and_grants(vault)
    swap(vault, A, B, "metadata")
    swap(vault, GRANTS + A, GRANTS + B, "metadata")


def swap_labels(vault):
    swap(vault, A, B, "metadata")


def value_over_value(vault):
    vault.entries[A]["value"] = vault.entries[B]["value"]


def grant_over_grant(vault):
    vault.entries[GRANTS + A]["value"] = vault.entries[GRANTS + B]["value"]


def grant_as_value(vault):
    swap(vault, A, GRANTS + A)


def another_name(vault):
    """B's secret and grant under a name that claims A's connector and to be its default."""
    for prefix in ("", GRANTS):
        vault.entries[prefix + "oauth2/c/me"] = copy.deepcopy(vault.entries[prefix + B])
    vault.labels("oauth2/c/me").update(service="c", connector_fqn="local://a", default="true")
    vault.labels(A)["default"] = "false"


def relabelled(vault):
    for name, fqn in ((A, "local://b"), (B, "local://a")):
        vault.labels(name).update(connector_fqn=fqn, status="active", default="true")


def another_kind(vault):
    vault.entries["api_key/a/me"] = vault.entries.pop(A)
    vault.entries[GRANTS + "api_key/a/me"] = vault.entries.pop(GRANTS + A)


def no_grants(vault):
    del vault.entries[GRANTS + A], vault.entries[GRANTS + B]


EDITS = [swap_values, swap_grants, swap_values_and_grants, swap_entries_whole, swap_labels, value_over_value, grant_over_grant,
         grant_as_value, another_name, relabelled, another_kind, no_grants]


def test_each_server_gets_its_own(pair, hostile):
    """Without an edit all of them travel, so that the other tests look where something is to be seen."""
    answer_everything(hostile)
    mark = hostile.mark()
    results = call_everything(pair)
    assert results["a", "evil.test"].results and results["b", "other.test"].results, results
    assert check_seen(hostile, mark) == {"a new access", "a refresh", "a client secret", "b new access", "b refresh", "b client secret"}


@pytest.mark.parametrize("when", ["open", "used", "locked"])
@pytest.mark.parametrize("edit", EDITS)
def test_no_edit_sends_a_secret_elsewhere(pair, hostile, edit, when):
    answer_everything(hostile)
    mark = hostile.mark()
    if when == "used":
        call_everything(pair)
    if when == "locked":
        pair.cli("vault", "lock", check=0)
    vault = pair.vault()
    edit(vault)
    vault.write(pair.vault_file)
    if when == "locked":
        pair.unlock()
    call_everything(pair)
    check_seen(hostile, mark)
    pair.cli("binding", "list", check=0)
    for name in (A, B):
        pair.cli("binding", "revoke", name, "--yes")
    check_seen(hostile, mark)
    assert pair.api("GET", "/v1/health").status == 200


def test_an_older_copy_sends_nothing_elsewhere(pair, hostile):
    """The file of yesterday is as good as it was then, and no better; mixed with that of today it is nothing."""
    answer_everything(hostile)
    mark = hostile.mark()
    older = pair.vault_file.read_bytes()
    call_everything(pair)
    newer = json.loads(pair.vault_file.read_text())
    assert pair.vault().value(A)["access_token"] == SECRETS["a new access"]
    pair.vault_file.write_bytes(older)
    call_everything(pair)
    mixed = copy.deepcopy(newer)
    for name in (A, GRANTS + B):
        mixed["secrets"][name] = json.loads(older)["secrets"][name]
    pair.vault_file.write_text(json.dumps(mixed))
    results = call_everything(pair)
    assert results["a", "evil.test"].failure["class"] == "binding_failed", results["a", "evil.test"]
    assert results["b", "other.test"].failure["class"] == "binding_failed", results["b", "other.test"]
    check_seen(hostile, mark)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_sends_nothing(pair, hostile, share):
    whole = pair.vault_file.read_bytes()
    pair.vault_file.write_bytes(whole[:int(len(whole) * share)])
    mark = hostile.mark()
    for probed in call_everything(pair).values():
        assert probed.failure, probed
    assert check_seen(hostile, mark) == set()
    before = pair.vault_file.read_bytes()
    pair.cli("secret", "set", "some/path", input="a-value-of-mine\n")
    pair.cli("vault", "lock")
    assert pair.vault_file.read_bytes() == before, "what is broken is not written over"
    pair.vault_file.write_bytes(whole)
    pair.unlock()
    assert pair.api("GET", "/v1/vault").json()["state"] == "unlocked"


def test_every_flipped_bit_spoils_its_entry_alone(pair, hostile):
    """AES-GCM under one key: a changed byte anywhere in a sealed entry is noticed, here and there."""
    vault = pair.vault()
    sealed = vault.entries[A]["value"]
    for at in (0, 5, 16, len(sealed) // 2, len(sealed) - 6):
        flipped = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1:]
        vault.entries[A]["value"] = flipped
        vault.write(pair.vault_file)
        with pytest.raises(Damaged):
            Vault.read(pair.vault_file, PASSPHRASE).get(A)
        answer_everything(hostile)
        mark = hostile.mark()
        results = call_everything(pair)
        assert results["a", "evil.test"].failure["class"] == "binding_failed", results["a", "evil.test"]
        assert not any(name.startswith("a ") for name in check_seen(hostile, mark))
