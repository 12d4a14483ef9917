"""GET /v1/connectors/check and POST /v1/sync: what is told of things that are as they should be, and of others."""
import shutil

import pytest

from tests.rig.forge import NOOP


@pytest.fixture
def bought(shop, repo):
    hash = repo.release_noop()
    shop.buy(shop.suite(f"{repo.fqn}/suite.toml@latest"))
    shop.hash = hash
    return shop


def check(shop):
    answer = shop.api("GET", "/v1/connectors/check")
    assert answer.status == 200, answer
    return answer.json()["connectors"]


def sync(shop):
    answer = shop.api("POST", "/v1/sync", {})
    assert answer.status == 200, answer
    return answer.json()


def test_a_newer_version_is_told(bought, repo):
    [row] = check(bought)
    assert row["latest"] == "1.0.0" and not row["newer"]
    repo.release_noop("1.10.0")
    [row] = check(bought)
    assert row["latest"] == "1.10.0" and row["newer"] and "error" not in row
    # One that is older than what is installed is none.
    bought.buy(bought.connector(f"{repo.fqn}@v1.10.0"))
    repo.latest("v1.9.0")
    assert {row["version"]: row["newer"] for row in check(bought)} == {"1.0.0": True, "1.10.0": False}


def test_a_forge_that_does_not_answer_spoils_one_column(bought, forge):
    forge.forget()
    [row] = check(bought)
    assert (row["files"], row["signature"]) == ("intact", "valid") and "error" not in row
    assert "latest" not in row and row["latest_error"] and not row["newer"]


def test_a_local_connector_is_not_asked_about(shop):
    shop.cli("connector", "install", "--local", NOOP, "--bind", "HOST=127.0.0.1:9", check=0)
    [row] = check(shop)
    assert row["signature"] == "unsigned" and row["files"] == "intact"
    assert "latest" not in row and "latest_error" not in row


def test_what_is_missing(bought, repo):
    assert sync(bought) == {"missing_connectors": [], "missing_bindings": [], "changed": [], "vault_state": "unlocked", "ok": True}
    shutil.rmtree(bought.path / "store/connectors/sha256" / bought.hash.removeprefix("sha256:"))
    [row] = check(bought)
    assert row["files"] == "missing" and row["fqn"] == repo.fqn and sorted(row["used_by"]) == ["echo", "noop"]
    told = sync(bought)
    assert not told["ok"]
    [missing] = told["missing_connectors"]
    assert (missing["fqn"], missing["version"], missing["hash"]) == (repo.fqn, "1.0.0", bought.hash)
    assert sorted(missing["needed_by"]) == ["echo", "noop"]
    failure = bought.api("POST", "/v1/actions/noop/run", {"args": {}}).json()["error"]
    assert failure["class"] == "hash_mismatch" and f"aileron connector install {repo.fqn}@v1.0.0" in failure["message"]
    bought.buy(bought.connector(f"{repo.fqn}@v1.0.0"))
    assert sync(bought)["ok"] and bought.output("noop") == {}


def test_what_is_not_bound(shop, repo):
    repo.release_google()
    shop.buy(shop.suite(f"{repo.fqn}/suite.toml@latest"))
    told = sync(shop)
    [missing] = told["missing_bindings"]
    assert (missing["connector_fqn"], missing["kind"]) == (repo.fqn, "oauth2") and len(missing["needed_by"]) == 10
    assert missing["command"] == f"aileron binding setup {repo.fqn}"
    assert not told["ok"] and not told["missing_connectors"] and not told["changed"]


def test_what_was_changed(bought, repo):
    (bought.path / "actions/echo.md").write_text("mine")
    manifest = bought.path / "store/connectors/sha256" / bought.hash.removeprefix("sha256:") / "manifest.toml"
    manifest.write_text("mine")
    told = sync(bought)
    rows = {row["kind"]: row for row in told["changed"]}
    assert not told["ok"] and set(rows) == {"action", "connector"}
    assert rows["action"]["class"] == "hash_mismatch" and rows["action"]["fqn"] == f"{repo.fqn}/actions/echo"
    assert rows["connector"]["class"] == "hash_mismatch" and rows["connector"]["needed_by"] == ["noop"]
    bought.revoke(repo.fqn)
    assert {row["class"] for row in sync(bought)["changed"]} == {"signature_failure"}


def test_a_damaged_connector_that_nobody_needs_can_be_removed(shop):
    folder = shop.path / "store/connectors/sha256" / ("ab" * 32)
    folder.mkdir(parents=True)
    [row] = shop.api("GET", "/v1/connectors").json()["connectors"]
    assert row["hash"] == "sha256:" + "ab" * 32 and row["files"] == "changed" and row["error"]
    [row] = check(shop)
    assert row["files"] == "changed" and row["signature"] == "invalid"
    assert shop.api("DELETE", "/v1/connectors/sha256:" + "ab" * 32).status == 200
    assert not folder.exists()
