"""Looking for secrets where none may be: in files, in answers, in the memory of processes; as they are and in every encoding."""
import base64
import json
import pathlib
import re
import urllib.parse

from . import paths

CHUNK = 4 << 20
# So much of a secret is looked for: a piece of it would be a leak as well, and is found with it.
PART = 20


def _base64_between(secret, before):
    """What stays the same in base64 whatever stands around the secret, `before` bytes of it in the same group."""
    one, other = (base64.b64encode(fill * before + secret + fill * 3).decode() for fill in (b"\0", b"\xff"))
    same = [a == b for a, b in zip(one, other)]
    start = same.index(True)
    return one[start:same.index(False, start)].encode()


def forms(secret):
    """name → bytes: a secret's first and last bytes as they are, base64 (at each alignment, both alphabets), hex, percent, JSON."""
    found = {}
    for part, piece in {"": secret} if len(secret) <= PART else {"begin ": secret[:PART], "end ": secret[-PART:]}.items():
        found[part + "raw"] = piece
        for before in range(3):
            text = _base64_between(piece, before)
            found[f"{part}base64 {before}"] = text
            found[f"{part}base64url {before}"] = text.replace(b"+", b"-").replace(b"/", b"_")
        found[part + "hex"] = piece.hex().encode()
        found[part + "HEX"] = piece.hex().upper().encode()
        text = piece.decode("latin-1")
        quoted = urllib.parse.quote(piece, safe="")
        found[part + "percent"] = quoted.encode()
        found[part + "percent, lower"] = re.sub("%..", lambda match: match[0].lower(), quoted).encode()
        found[part + "percent, all"] = "".join(f"%{byte:02x}" for byte in piece).encode()
        found[part + "PERCENT, all"] = "".join(f"%{byte:02X}" for byte in piece).encode()
        found[part + "JSON"] = json.dumps(text)[1:-1].encode()
        found[part + "JSON, all"] = "".join(f"\\u{byte:04x}" for byte in piece).encode()
        found[part + "JSON, ALL"] = "".join(f"\\u{byte:04X}" for byte in piece).encode()
        found[part + "JSON, slashes"] = json.dumps(text)[1:-1].replace("/", "\\/").encode()
    return found


class Needles:
    """Named secrets in all their forms."""

    def __init__(self, **secrets):
        self.secrets = {name: value.encode() if isinstance(value, str) else value for name, value in secrets.items()}
        assert all(len(value) >= 8 for value in self.secrets.values()), "too short to be told from anything else"
        self.needles = {}
        for name, value in self.secrets.items():
            for form, needle in forms(value).items():
                self.needles.setdefault(needle, f"{name} ({form})")
        self.longest = max(map(len, self.needles))

    def without(self, *names):
        return Needles(**{name: value for name, value in self.secrets.items() if name not in names})

    def within(self, data):
        """The names of what `data` holds."""
        data = data.encode() if isinstance(data, str) else data
        return sorted({name for needle, name in self.needles.items() if needle in data})

    def in_files(self, folder):
        """file → names, of every file below a folder."""
        found = {}
        for path in sorted(pathlib.Path(folder).rglob("*")):
            if path.is_file() and not path.is_symlink() and (held := self.within(path.read_bytes())):
                found[str(path)] = held
        return found

    def in_memory(self, pid):
        """name → mappings, of everything readable in a process. PermissionError when this one may not look."""
        found = {}
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
                where = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
                if not where or "[v" in line:
                    continue
                for data in self._read(memory, *(int(text, 16) for text in where.groups())):
                    for name in self.within(data):
                        found.setdefault(name, []).append(line)
        return found

    def _read(self, memory, at, end):
        """The mapping in pieces, each with the end of the one before; what is all zero is left out."""
        tail = b""
        while at < end:
            size = min(end - at, CHUNK)
            try:
                memory.seek(at)
                data = memory.read(size)
            except (OSError, ValueError, OverflowError):
                return
            if data.count(0) != len(data):
                yield tail + data
            tail = data[-self.longest:]
            at += size


def may_search(pid):
    """Reading another process's memory needs root where it is undumpable, and a build without shadow memory."""
    if paths.sanitized():
        return False
    try:
        with open(f"/proc/{pid}/mem", "rb"):
            return True
    except PermissionError:
        return False
