"""A publisher and the forge's files: keys, releases and suites, made with plain tar and openssl, served by nginx."""
import base64
import hashlib
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import urllib.parse

from . import hostile, paths


TAGS_PER_PAGE = 100
SECONDS = itertools.count(int(time.time()) - 10_000_000)
GITHUB_HOSTS = ["github.com", "api.github.com", "raw.githubusercontent.com", "objects.githubusercontent.com"]


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


NOOP = paths.BUILD / "connectors/noop"
NOOP_BIND = {"HOST": "example.com:443"}


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
        # nginx makes an ETag of size and second; what is written twice in one second is another file all the same.
        second = next(SECONDS)
        os.utime(path, (second, second))

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
        """Adds a tag as the newest; one that was there moves."""
        self.tags = [tag for tag in self.tags if tag["name"] != name]
        self.tags.insert(0, {"name": name, "commit": {"sha": commit or hashlib.sha1(name.encode()).hexdigest()}})
        self.publish_tags()

    def publish_tags(self):
        """In pages of a hundred, as the API gives them; the last one is not full."""
        for page in range(len(self.tags) // TAGS_PER_PAGE + 1):
            self.api(f"tags.{page + 1}", self.tags[page * TAGS_PER_PAGE:(page + 1) * TAGS_PER_PAGE])

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

    def release_parts(self, folder, version="1.0.0", bind=()):
        """(connector.wasm, manifest.toml, signature) of a folder, for archives that are made by hand."""
        wasm, text = (pathlib.Path(folder) / "connector.wasm").read_bytes(), (pathlib.Path(folder) / "manifest.toml").read_text()
        for name, value in {"FQN": self.fqn, "VERSION": version, **dict(bind)}.items():
            text = text.replace(f"@@{name}@@", value)
        return wasm, text.encode(), self.key.sign(wasm + text.encode())

    def release_noop(self, version="1.0.0", actions=("noop", "echo"), key=None, **more):
        """The small connector of the tests with some of its actions, and a suite of these; returns the connector's hash."""
        hash = self.release_connector(NOOP, version, bind=NOOP_BIND, key=key, **more)
        for name in actions:
            self.release_action(NOOP / f"actions/{name}.md", version, hash=hash, key=key)
        listed = "".join(f'  "actions/{name}",\n' for name in actions)
        self.raw(f"v{version}", "suite.toml", f'name = "small"\ndescription = "Nothing much."\nactions = [\n{listed}]\n')
        self.latest(f"v{version}")
        return hash

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
        for host in GITHUB_HOSTS:
            for entry in self.nginx.files(host).iterdir():
                shutil.rmtree(entry, ignore_errors=True)


@hostile.behaviour
def limited(c, r, status, seconds):
    """The API's rate limit is spent, and says until when."""
    c.answer(int(status), {"message": "API rate limit exceeded"}, [
        ("X-RateLimit-Limit", "60"), ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", str(int(time.time()) + int(seconds)))])


@hostile.behaviour
def cut(c, r, path, most):
    """The beginning of a file, then the connection's end."""
    data = pathlib.Path(path).read_bytes()
    c.head(f"Content-Length: {len(data)}")
    c.send(data[:int(most)])
    c.close()


@hostile.behaviour
def trickle(c, r, path, pause):
    """A file, a thousand bytes at a time."""
    data = pathlib.Path(path).read_bytes()
    c.head(f"Content-Length: {len(data)}")
    for at in range(0, len(data), 1000):
        c.send(data[at:at + 1000])
        c.pause(float(pause))


@hostile.behaviour
def trickle_unless(c, r, path, flag, pause):
    """A file that comes slowly for as long as the file `flag` is there."""
    data = pathlib.Path(path).read_bytes()
    c.head(f"Content-Length: {len(data)}")
    for at in range(0, len(data), 100):
        c.send(data[at:at + 100])
        if pathlib.Path(flag).exists():
            c.pause(float(pause))


class RudeForge(hostile.Hostile):
    """The forge's files served by the hostile provider: what no script answers is as nginx would answer it."""

    def __init__(self, folder, ca, nginx):
        super().__init__(folder, ca, hosts=[*GITHUB_HOSTS, *hostile.HOSTS])
        self.nginx = nginx

    def connect_to(self):
        return super().connect_to([*GITHUB_HOSTS, *hostile.HOSTS])

    def _answer(self, connection, request):
        host = (request.header("host") or "").split(":")[0]
        path = urllib.parse.unquote(request.path)
        with self._lock:
            scripted = self._scripts.get((host, request.path)) or self._scripts.get((host, None))
        if scripted or path.startswith("/do/") or host not in GITHUB_HOSTS:
            super()._answer(connection, request)
            return
        owner, _, rest = path.strip("/").partition("/")
        name, _, rest = rest.partition("/")
        if host == "github.com" and rest.startswith("releases/download/"):
            where = f"https://objects.githubusercontent.com/{owner}/{name}/" + rest.removeprefix("releases/download/")
            connection.answer(302, b"", [("Location", where), ("Set-Cookie", "planted=1; Domain=githubusercontent.com")])
            return
        page = "." + request.query["page"] if path.endswith("/tags") else ""
        file = self.nginx.files(host) / (path.strip("/") + page)
        if file.is_file():
            connection.answer(200, file.read_bytes(), [("Set-Cookie", "planted=1"), ("ETag", '"1"')])
        else:
            connection.answer(404, {"message": "Not Found"})
