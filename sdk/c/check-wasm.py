#!/usr/bin/env python3
"""Holds a built connector to the ABI: what it imports, what it exports, how large it is.

Usage: check-wasm.py FILE [--max-bytes N] [--max-pages N]

Reads the module's sections itself, so that the check needs no tool besides
Python. Exits 1 with one line per finding.
"""

import argparse
import pathlib
import sys

HOST = {"log", "http_request", "http_response_status", "http_response_size", "http_response_read"}
WASI = "wasi_snapshot_preview1"


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def number(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def take(self, count):
        self.at += count
        return self.data[self.at - count : self.at]

    def name(self):
        return self.take(self.number()).decode()

    def limits(self):
        flags = self.byte()
        least = self.number()
        return least, self.number() if flags & 1 else None


def read_imports(reader):
    found = []
    for _ in range(reader.number()):
        module, name, kind = reader.name(), reader.name(), reader.byte()
        if kind == 0:
            reader.number()
        elif kind == 1:
            reader.byte()
            reader.limits()
        elif kind == 2:
            reader.limits()
        else:
            reader.take(2)
        found.append((module, name, kind))
    return found


def read_module(data):
    """Imports, exported names, initial memory in pages, names of custom sections."""
    if data[:8] != b"\0asm\1\0\0\0":
        sys.exit("not a WebAssembly module")
    reader = Reader(data)
    reader.at = 8
    imports, exports, pages, custom = [], [], 0, []
    while reader.at < len(data):
        section, body = reader.byte(), Reader(reader.take(reader.number()))
        if section == 0:
            custom.append(body.name())
        elif section == 2:
            imports = read_imports(body)
        elif section == 5:
            pages = [body.limits()[0] for _ in range(body.number())][0]
        elif section == 7:
            for _ in range(body.number()):
                exports.append(body.name())
                body.byte()
                body.number()
    return imports, exports, pages, custom


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--max-bytes", type=int, default=200 * 1000)
    parser.add_argument("--max-pages", type=int, default=16)
    args = parser.parse_args()
    data = args.file.read_bytes()
    imports, exports, pages, custom = read_module(data)
    findings = [f"imports {m}.{n}" for m, n, kind in imports if kind != 0 or (m != WASI and (m != "aileron_host" or n not in HOST))]
    findings += [f"does not export {name}" for name in ("_start", "memory") if name not in exports]
    if len(data) >= args.max_bytes:
        findings.append(f"{len(data)} bytes, the limit is {args.max_bytes}")
    if pages > args.max_pages:
        findings.append(f"{pages} pages of memory at the start, the limit is {args.max_pages}")
    if custom:
        findings.append(f"not stripped: {', '.join(custom)}")
    for finding in findings:
        print(f"{args.file.name}: {finding}", file=sys.stderr)
    print(f"{args.file.name}: {len(data)} bytes, {pages} pages, {len(imports)} imports")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
