"""Talking through the probe connector: envelopes in, what the host said and the servers saw out."""
import json

from .home import b64u, unb64u


def envelope(url, method="GET", **more):
    """A well-formed request envelope."""
    return json.dumps({"method": method, "url": url, **more})


def args_of(*envelopes, **more):
    """Arguments of the action `probe`: envelopes are text or bytes, sent as they are."""
    args = {key: b64u(value) if isinstance(value, (str, bytes)) else value for key, value in more.items()}
    if "logs" in args:
        args["logs"] = [b64u(line) for line in args["logs"]]
    if envelopes:
        args["calls"] = [b64u(text) for text in envelopes]
    return args


class Probed:
    """Either `failure` (SPEC §6) or `results`, one per envelope, each with rc, status, size and body."""

    def __init__(self, result):
        self.result = result
        answer = result.json()
        self.failure = answer.get("error")
        self.results = answer["output"].get("results") if "output" in answer else None
        for item in self.results or []:
            item["body"] = unb64u(item["body"])

    def __repr__(self):
        return repr(self.result)


def probe(home, *envelopes, action="probe", timeout=60, **more):
    return Probed(home.run_action(action, args_of(*envelopes, **more), timeout=timeout))


def ask(home, url, method="GET", action="probe", **more):
    """One request that must be carried out: its result (rc, status, size, body)."""
    probed = probe(home, envelope(url, method, **more), action=action)
    assert probed.results is not None, repr(probed)
    assert probed.results[0]["rc"] == 0, repr(probed)
    return probed.results[0]


def refused(home, url, method="GET", action="probe", **more):
    """One request that must not be carried out: the failure of the call."""
    probed = probe(home, envelope(url, method, **more), action=action)
    assert probed.failure is not None, repr(probed)
    return probed.failure
