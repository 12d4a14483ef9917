#!/usr/bin/env python3
"""Writes the files of the web app as one C file.

    embed.py OUTPUT WEB_FOLDER FILE…
"""
import hashlib
import pathlib
import sys

TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".svg": "image/svg+xml"}


def main():
    output, folder, files = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve(), sorted(sys.argv[3:])
    parts, rows = ['/* Made by embed.py. */\n#include "web/assets.h"\n'], []
    for number, name in enumerate(files):
        path = pathlib.Path(name).resolve()
        data = path.read_bytes()
        lines = [",".join(str(byte) for byte in data[at:at + 32]) for at in range(0, len(data), 32)]
        parts.append(f"static const unsigned char FILE_{number}[] = {{\n" + ",\n".join(lines) + "\n};\n")
        etag = hashlib.sha256(data).hexdigest()[:32]
        rows.append(f'    {{ "/{path.relative_to(folder).as_posix()}", "{TYPES[path.suffix]}", "\\"{etag}\\"", FILE_{number}, '
                    f"sizeof FILE_{number} }},")
    parts.append("const struct asset ASSETS[] = {\n" + "\n".join(rows) + "\n};\n")
    parts.append(f"const size_t ASSETS_LEN = {len(files)};\n")
    output.write_text("\n".join(parts))


main()
