"""The vault's file (secrets.json, docs/vault.md) written and read without a line of the program: argon2-cffi and cryptography.

What this writes the keeper must open, and what the keeper writes this must open. A test home's vault is made here, so that
bindings, their grants and the mark of a development vault are there before the daemon starts.
"""
import base64
import functools
import hashlib
import json
import os
import pathlib
import time

from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PASSPHRASE = "correct horse battery staple"
# One salt for every test home: its key is derived once for a whole run. A vault of the program has a random one.
SALT = bytes(range(16))
VERIFICATION = b"aileron-vault-v1"
DEV, DEV_MARK = "_dev", b"aileron-dev-v1"
GRANTS = "_grants/"
NONCE_BYTES = 12
FAR_FUTURE = "2099-01-01T00:00:00Z"


class WrongPassphrase(Exception):
    pass


class Damaged(Exception):
    pass


@functools.lru_cache
def derive(passphrase, salt):
    """Argon2id v1.3, t=3, m=64 MiB, p=4, 32 bytes."""
    return hash_secret_raw(passphrase.encode(), salt, time_cost=3, memory_cost=65536, parallelism=4, hash_len=32,
                           type=Type.ID, version=19)


def seal(key, plain):
    """nonce ‖ ciphertext ‖ tag, as base64."""
    nonce = os.urandom(NONCE_BYTES)
    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, plain, None)).decode()


def open_sealed(key, text):
    sealed = base64.b64decode(text, validate=True)
    return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)


def as_bytes(value):
    if isinstance(value, (dict, list)):
        value = json.dumps(value)
    return value.encode() if isinstance(value, str) else value


def oauth_value(access, refresh=None, expires_at=FAR_FUTURE, client_id="test-client", client_secret="test-secret",
                token_url="https://oauth2.googleapis.com/token", scopes=None):
    """The value of an oauth2 binding."""
    value = {"access_token": access, "refresh_token": refresh, "expires_at": expires_at, "token_type": "Bearer",
             "client_id": client_id, "client_secret": client_secret, "token_url": token_url, "scopes": scopes}
    return {key: part for key, part in value.items() if part is not None}


class Vault:
    """`document` is the file as it stands; entries are sealed in it and opened on demand."""

    def __init__(self, passphrase=PASSPHRASE, salt=SALT, dev=False):
        self._key = derive(passphrase, salt)
        self.document = {"version": 1, "salt": base64.b64encode(salt).decode(),
                         "verification": seal(self._key, VERIFICATION), "secrets": {}}
        if dev:
            self.put(DEV, DEV_MARK)

    @classmethod
    def read(cls, path, passphrase=PASSPHRASE):
        """Opens a file that either side has written; checks its form as strictly as it is promised."""
        document = json.loads(pathlib.Path(path).read_text())
        assert set(document) <= {"version", "salt", "verification", "secrets"} and document["version"] == 1, list(document)
        salt = base64.b64decode(document["salt"], validate=True)
        assert len(salt) == len(SALT)
        vault = cls.__new__(cls)
        vault.document, vault._key = document, derive(passphrase, salt)
        try:
            mark = open_sealed(vault._key, document["verification"])
        except InvalidTag:
            raise WrongPassphrase(path) from None
        if mark != VERIFICATION:
            raise Damaged("verification")
        return vault

    def write(self, path):
        """As the program writes it, but not atomically: nothing else is running yet."""
        path = pathlib.Path(path)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(self.document, indent=2) + "\n")
        return path

    @property
    def entries(self):
        return self.document["secrets"]

    def paths(self):
        return sorted(self.entries)

    def put(self, path, value, type="", environment="", labels=None):
        self.entries[path] = {"value": seal(self._key, as_bytes(value)),
                              "metadata": {"Type": type, "Environment": environment, "Labels": labels}}

    def get(self, path):
        try:
            return open_sealed(self._key, self.entries[path]["value"])
        except (InvalidTag, ValueError):
            raise Damaged(path) from None

    def labels(self, path):
        return self.entries[path]["metadata"]["Labels"] or {}

    def grant(self, binding):
        return json.loads(self.get(GRANTS + binding))

    def value(self, binding):
        """The value of an oauth2 binding, as an object."""
        return json.loads(self.get(binding))

    def bind(self, binding, connector_fqn, origins, value, header="Authorization", format="Bearer {key}", token_url=None,
             revoke_url=None, authorize_url=None, labels=None, grant=True):
        """A binding with its sealed grant; the first of a connector is its default. grant=False: as another program leaves it."""
        kind, service, identity = binding.split("/")
        first = not any(self.labels(path).get("connector_fqn") == connector_fqn for path in self.paths())
        content = as_bytes(value)
        made = {"service": service, "identity": identity, "connector_fqn": connector_fqn, "status": "active",
                "created_at": str(int(time.time())), **({"default": "true"} if first else {})}
        if kind == "oauth2":
            token = json.loads(content)
            token_url = token_url or token["token_url"]
            made["refresh_token_present"] = "true" if token.get("refresh_token") else "false"
            if token.get("scopes"):
                made["granted_scopes"] = " ".join(token["scopes"])
        self.put(binding, content, kind, "", {**made, **(labels or {})})
        if not grant:
            return
        sealed = {"connector_fqn": connector_fqn, "origins": list(origins), "header": header, "format": format,
                  "token_url": token_url, "revoke_url": revoke_url, "authorize_url": authorize_url,
                  "value_sha256": hashlib.sha256(content).hexdigest(), "binding": binding}
        self.put(GRANTS + binding, {key: part for key, part in sealed.items() if part is not None})
