"""A publisher and the forge's files: keys, releases and suites, made with plain tar and openssl, served by nginx."""
import base64
import hashlib
import json
import pathlib
import shutil
import subprocess
import tempfile

from . import paths


def run(folder, *command, data=None):
    return subprocess.run([str(word) for word in command], cwd=folder, input=data, check=True, capture_output=True).stdout


class Key:
    """An Ed25519 key of openssl's making."""

    def __init__(self, folder, name="publisher"):
        self.path = pathlib.Path(folder) / f"{name}.key"
        run(folder, "openssl", "genpkey", "-algorithm", "ed25519", "-out", self.path)
        self.path.chmod(0o600)
        self.pem = run(folder, "openssl", "pkey", "-in", self.path, "-pubout")
        self.raw = run(folder, "openssl", "pkey", "-in", self.path, "-pubout", "-outform", "DER")[-32:]

    @property
    def fingerprint(self):
        return "sha256:" + base64.b64encode(hashlib.sha256(self.raw).digest()).decode().rstrip("=")

    def sign(self, message):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "message").write_bytes(message)
            return run(folder, "openssl", "pkeyutl", "-sign", "-inkey", self.path, "-rawin", "-in", "message")


def archive(files, *options):
    """A release archive by plain tar: {name: bytes} in this order."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            (pathlib.Path(folder) / name).write_bytes(data)
        return run(folder, "tar", *options, "-czf", "-", *files)


class Repository:
    """github://OWNER/NAME as the forge answers for it."""

    def __init__(self, forge, owner, name, key=None):
        self.forge, self.owner, self.name = forge, owner, name
        self.key = key or Key(forge.folder, f"{owner}-{name}")
        self.fqn = f"github://{owner}/{name}"
        self.tags = []
        self.publish_key(self.key)

    def _files(self, host):
        return self.forge.nginx.files(host) / self.owner / self.name

    def _write(self, path, data):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())

    def raw(self, ref, path, data):
        """A file of the repository at a tag, a commit or HEAD."""
        self._write(self._files("raw.githubusercontent.com") / ref / path, data)

    def publish_key(self, key):
        self.raw("HEAD", "keys/publisher.pub", key.pem)

    def asset(self, tag, data, name="aileron.tar.gz"):
        self._write(self._files("objects.githubusercontent.com") / tag / name, data)

    def asset_path(self, tag, name="aileron.tar.gz"):
        return self._files("objects.githubusercontent.com") / tag / name

    def api(self, path, data):
        file = self.forge.nginx.files("api.github.com") / "repos" / self.owner / self.name / path
        self._write(file, json.dumps(data))

    def tag(self, name, commit=None):
        self.tags.insert(0, {"name": name, "commit": {"sha": commit or hashlib.sha1(name.encode()).hexdigest()}})
        self.api("tags", self.tags)

    def latest(self, tag):
        self.api("releases/latest", {"tag_name": tag})

    def release_connector(self, folder, version="1.0.0", subpath="", key=None, bind=(), manifest=None, wasm=None):
        """Releases connector.wasm and manifest.toml of a folder, placeholders filled in; returns its hash."""
        folder = pathlib.Path(folder)
        wasm = wasm or (folder / "connector.wasm").read_bytes()
        text = manifest or (folder / "manifest.toml").read_text()
        fqn = f"{self.fqn}/{subpath}" if subpath else self.fqn
        for name, value in {"FQN": fqn, "VERSION": version, **dict(bind)}.items():
            text = text.replace(f"@@{name}@@", value)
        text = text.encode()
        tag = f"{subpath}/v{version}" if subpath else f"v{version}"
        self.asset(tag, archive({"connector.wasm": wasm, "manifest.toml": text,
                                 "signature.sig": (key or self.key).sign(wasm + text)}))
        self.tag(tag)
        return "sha256:" + hashlib.sha256(wasm + text).hexdigest()

    def release_action(self, file, version="1.0.0", connector=None, hash=None, key=None, text=None, connector_version=None):
        """Releases an action's file as actions/NAME, pinned to the connector."""
        file = pathlib.Path(file)
        text = text or file.read_text()
        for name, value in {"FQN": connector or self.fqn, "VERSION": connector_version or version, "HASH": hash or ""}.items():
            text = text.replace(f"@@{name}@@", value)
        text = text.encode()
        tag = f"actions/{file.stem}/v{version}"
        self.asset(tag, archive({"action.md": text, "signature.sig": (key or self.key).sign(text)}))
        self.tag(tag)
        return "sha256:" + hashlib.sha256(text).hexdigest()

    def release_google(self, version="1.0.0", client_id="test-client", client_secret="test-secret"):
        """The Google connector, its ten actions and its suite, as a publisher would release them."""
        hash = self.release_connector(paths.GOOGLE, version, bind={"client_id": client_id, "client_secret": client_secret})
        for file in sorted((paths.GOOGLE / "actions").glob("*.md")):
            self.release_action(file, version, hash=hash)
        self.raw(f"v{version}", "suite.toml", (paths.GOOGLE / "suite.toml").read_bytes())
        self.latest(f"v{version}")
        return hash


class Forge:
    def __init__(self, nginx, folder):
        self.nginx, self.folder = nginx, pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def repository(self, owner, name, key=None):
        return Repository(self, owner, name, key)

    def forget(self):
        """Everything that was published is gone."""
        for host in ("api.github.com", "raw.githubusercontent.com", "objects.githubusercontent.com", "github.com"):
            for entry in self.nginx.files(host).iterdir():
                shutil.rmtree(entry, ignore_errors=True)
