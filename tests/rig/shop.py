"""A home in front of a forge: previews that are waited for, installations, and what must not have changed."""
import contextlib
import os
import time

from .home import Home

CONNECTORS, ACTIONS = "/v1/connectors", "/v1/actions"


class Shop(Home):
    """Everything through the API, as the command line does it."""

    def preview(self, kind, timeout=40, **body):
        """POST a preview and wait until it is worked out: the plan, ready or failed."""
        return self.wait_plan(self.preview_start(kind, **body), ("working",), timeout)

    def preview_start(self, kind, **body):
        answer = self.api("POST", f"{kind}/preview", body)
        assert answer.status == 202, answer
        return answer.json()["plan"]

    def wait_plan(self, id, busy, timeout=40):
        deadline = time.monotonic() + timeout
        while True:
            got = self.api("GET", f"/v1/plans/{id}").json()
            if got.get("state") not in busy:
                return got
            assert time.monotonic() < deadline, got
            time.sleep(0.01)

    def connector(self, ref, **more):
        return self.preview(CONNECTORS, ref=ref, **more)

    def action(self, ref, **more):
        return self.preview(ACTIONS, ref=ref, **more)

    def suite(self, ref, **more):
        return self.preview(ACTIONS, ref=ref, suite=True, **more)

    def ready(self, plan):
        assert plan["state"] == "ready", plan
        return plan

    def failed(self, plan, code, *words):
        """The plan failed with this code and all these words, in message or hint."""
        assert plan["state"] == "failed", plan
        said = plan["error"]["message"] + " " + plan["error"].get("hint", "")
        assert plan["error"]["code"] == code, plan["error"]
        for word in words:
            assert word in said, plan["error"]
        self.api("DELETE", f"/v1/plans/{plan['plan']}")
        return plan["error"]

    def accept(self, plan, **more):
        """POST …/install with every key that is needed; the answer, not waited for."""
        trust = [{"authority": item["authority"], "fingerprint": item["fingerprint"]} for item in plan["trust_needed"]]
        kind = CONNECTORS if plan["kind"] == "connector" else ACTIONS
        return self.api("POST", f"{kind}/install", {"plan": plan["plan"], "consent": "accepted", "trust": trust, **more})

    def buy(self, plan, states=("installed",), **more):
        """Installs what a preview showed; every item must end in one of these states."""
        answer = self.accept(self.ready(plan), **more)
        assert answer.status == 202, answer
        done = self.wait_plan(plan["plan"], ("installing",))
        assert done["state"] == "done" and {item["state"] for item in done["results"]} <= set(states), done
        return done

    def drop(self, plan):
        answer = self.api("DELETE", f"/v1/plans/{plan if isinstance(plan, str) else plan['plan']}")
        assert answer.status == 200, answer

    def trust(self, authority, key):
        answer = self.api("POST", "/v1/keyring",
                          {"authority": authority, "key": key.pem.decode(), "fingerprint": key.fingerprint})
        assert answer.status == 200 and answer.json()["trusted"], answer

    def revoke(self, authority):
        assert self.api("DELETE", "/v1/keyring", {"authority": authority}).status == 200

    # --- what is there

    def contents(self):
        """store/, actions/ and keyring.json: every file's mode and bytes, every link's target."""
        found = {}
        for top in ("store", "actions", "keyring.json"):
            path = self.path / top
            files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_symlink() or not file.is_dir()]
            for file in files:
                state = os.lstat(file)
                bytes_ = os.readlink(file) if file.is_symlink() else file.read_bytes()
                found[str(file.relative_to(self.path))] = (oct(state.st_mode), state.st_nlink, bytes_)
        return found

    @contextlib.contextmanager
    def untouched(self):
        """What is done here leaves store, actions and keyring byte for byte as they were, and nothing in store/tmp."""
        before = self.contents()
        yield
        after = self.contents()
        assert set(after) == set(before), sorted(set(after) ^ set(before))
        assert after == before, [name for name in after if after[name] != before[name]]
        assert not list((self.path / "store/tmp").glob("*"))

    def installed_connectors(self):
        return {path.name for path in self.path.glob("store/connectors/sha256/*")}

    def installed_actions(self):
        return {path.stem for path in self.path.glob("actions/*.md")}

    def receipts(self, since=0):
        return self.audit_lines()[since:]
