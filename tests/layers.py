#!/usr/bin/env python3
"""Holds the tree to its layers: who may include whom, and which program links what.

    layers.py SOURCE_ROOT [BUILD_ROOT]

The rules are the tables below; the code only compares. A breach is one line
`file:line: …`; exit 1 when there is one. BUILD_ROOT may lack programs (then
their links are not looked at), never sources.
"""
import pathlib
import re
import subprocess
import sys

# Bottom first: a folder may include itself and those above it in this list.
ORDER = ["base", "wire", "confine", "crypt", "loop", "keeper", "worker", "audit", "store", "action", "connector",
         "binding", "approval", "session", "broker", "web", "mcp", "launch", "cli", "relay"]

# Narrower than the order: a folder here includes only these (and itself).
ONLY = {
    "base": set(),
    "worker": {"base", "wire", "confine"},
    "audit": {"base", "crypt"},
    "store": {"base", "crypt"},
    "action": {"base", "crypt"},
    "binding": {"base", "crypt"},
    "approval": {"base", "crypt"},
    "session": {"base", "crypt"},
    "relay": {"base"},
}

# What others may see of a folder that keeps to itself.
FACADE = {"keeper": {"keeper/client.h"}, "worker": {"worker/protocol.h"}}

# Upward arrows that are meant: the one program that connects the concerns starts its doors.
UPWARD = {("broker", "web"), ("broker", "mcp"), ("broker", "launch")}

# Domain folders: structs and `now` in, decisions out.
DOMAIN = {"audit", "store", "action", "binding", "approval", "session"}
DOMAIN_NEVER = {"event2/", "event.h", "sys/socket.h", "netinet/", "curl/", "ares.h", "sys/un.h", "netdb.h"}

# System libraries by the one folder that may use them.
OWNER = {"curl/": {"keeper"}, "ares.h": {"keeper"}, "wasmtime": {"worker"}, "wasm.h": {"worker"}, "argon2.h": {"crypt"},
         "event2/http": {"broker", "web"}, "jansson.h": None, "toml++/": {"base"}}

# Per program: what its dynamic section must not name, and symbols that must not be inside.
PROGRAMS = {
    "src/broker/aileron-broker": ({"libcurl", "libcares", "libargon2", "libssl"}, {"wasm_engine_new", "curl_easy_init"}),
    "src/keeper/aileron-keeper": ({"libevent_http"}, {"wasm_engine_new", "evhttp_new"}),
    "src/worker/aileron-worker": ({"libcurl", "libcares", "libargon2", "libevent", "libssl"}, {"curl_easy_init", "evhttp_new"}),
    "src/cli/aileron": ({"libcurl", "libcares", "libevent_http", "libargon2"}, {"wasm_engine_new", "evhttp_new"}),
}
# Programs that need nothing at run time.
STATIC = ["src/relay/aileron-mcp"]

# Asking what time it is: a domain folder is told.
CLOCK = re.compile(r"\b(clock_(unix|boot)_(ms|us)|clock_gettime|gettimeofday|time)\s*\(")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def folder_breaches(source, path, line, target):
    """Breaches of an include of ours, `folder/file.h`, from the folder `source`."""
    folder = target.split("/")[0]
    if folder == source:
        return
    if folder not in ORDER:
        yield f"{path}:{line}: {target}: includes start at src/ and name a folder of the list"
        return
    # A test may look at what lies beside it, a program at what it connects; both still not upward.
    upward = ORDER.index(folder) > ORDER.index(source)
    if upward and (source, folder) not in UPWARD:
        yield f"{path}:{line}: {source} must not know {folder}, which is above it"
    elif source in ONLY and folder not in ONLY[source]:
        yield f"{path}:{line}: {source} may include {sorted(ONLY[source]) or 'nothing'}, not {folder}"
    if folder in FACADE and target not in FACADE[folder]:
        yield f"{path}:{line}: of {folder}, others see only {', '.join(sorted(FACADE[folder]))}"


def system_breaches(source, path, line, target):
    for prefix, owners in OWNER.items():
        if owners and target.startswith(prefix) and source not in owners:
            yield f"{path}:{line}: <{target}> belongs to {', '.join(sorted(owners))}"
    if source in DOMAIN and any(target.startswith(never) for never in DOMAIN_NEVER):
        yield f"{path}:{line}: <{target}>: {source} knows no event loop and no socket"


def include_breaches(root):
    for path in sorted((root / "src").rglob("*")):
        if path.suffix not in {".c", ".h", ".cc"}:
            continue
        source = path.relative_to(root / "src").parts[0]
        shown = path.relative_to(root)
        if source not in ORDER:
            yield f"{shown}:1: the folder {source} has no place in the list"
            continue
        for number, text in enumerate(path.read_text().splitlines(), 1):
            if source in DOMAIN and not path.name.startswith(("test-", "fuzz-")) and CLOCK.search(text.split("/*")[0]):
                yield f"{shown}:{number}: {source} must not ask what time it is"
            found = INCLUDE.match(text)
            if not found:
                continue
            mark, target = found.groups()
            if mark == "<":
                yield from system_breaches(source, shown, number, target)
            elif "/" in target:
                yield from folder_breaches(source, shown, number, target)
            else:
                yield f'{shown}:{number}: "{target}": includes start at src/'


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def link_breaches(build):
    for name, (libraries, symbols) in PROGRAMS.items():
        program = build / name
        if not program.exists():
            continue
        needed = re.findall(r"NEEDED.*\[([^\]]+)\]", output("readelf", "-d", str(program)))
        for library in needed:
            if any(library.startswith(f"{never}.") or library.startswith(f"{never}-") for never in libraries):
                yield f"{name}: links {library}"
        inside = set(re.findall(r"\b[TtWw] (\w+)", output("nm", str(program))))
        for symbol in sorted(symbols & inside):
            yield f"{name}: holds {symbol}"
    for name in STATIC:
        program = build / name
        if program.exists() and "NEEDED" in output("readelf", "-d", str(program)):
            yield f"{name}: must be static"


def main():
    root = pathlib.Path(sys.argv[1])
    breaches = list(include_breaches(root))
    if len(sys.argv) > 2:
        breaches += link_breaches(pathlib.Path(sys.argv[2]))
    print("\n".join(breaches) if breaches else "every include and every link is where it belongs")
    sys.exit(1 if breaches else 0)


if __name__ == "__main__":
    main()
