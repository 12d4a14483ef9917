"""Modules of other toolchains: C by clang and wasi-libc without the SDK (the probe), Go for wasip1, WAT by wabt."""
import json
import pathlib
import shutil
import subprocess

import pytest

from tests.conftest import PROBE_HOSTS, PROBE_TOKEN
from tests.rig.home import Home, credential

MANIFEST = """
[connector]
name = "local://FQN"
version = "1.0.0"

[capabilities.network]
hosts = ["evil.test:443"]

[capabilities.credential]
kind = "api_key"

[capabilities.limits]
memory_mib = 256
wall_time_s = 10
"""

ACTION = """+++
name = "FQN"
version = "1.0.0"

[[requires.connectors]]
name = "local://FQN"
version = "1.0.0"
hash = "@@HASH@@"
capabilities = ["fetch"]

[match]
intent = "tests"

[[inputs]]
name = "url"
type = "string"
description = "what to fetch"

[[execute]]
id = "one"
connector = "local://FQN"
op = "fetch"
+++
# Fetch
"""

GO = '''package main

import (
	"encoding/json"
	"os"
	"unsafe"
)

//go:wasmimport aileron_host http_request
func httpRequest(at unsafe.Pointer, size int32) int32

//go:wasmimport aileron_host http_response_status
func httpStatus() int32

//go:wasmimport aileron_host http_response_size
func httpSize() int32

//go:wasmimport aileron_host http_response_read
func httpRead(at unsafe.Pointer, size int32) int32

func main() {
	var call struct {
		Op   string
		Args struct{ URL string }
	}
	if err := json.NewDecoder(os.Stdin).Decode(&call); err != nil {
		panic(err)
	}
	request, _ := json.Marshal(map[string]string{"url": call.Args.URL, "credential": "api_key"})
	if httpRequest(unsafe.Pointer(&request[0]), int32(len(request))) != 0 {
		os.Exit(1)
	}
	body := make([]byte, httpSize())
	httpRead(unsafe.Pointer(&body[0]), int32(len(body)))
	json.NewEncoder(os.Stdout).Encode(map[string]any{"output": map[string]any{"status": httpStatus(), "size": len(body), "op": call.Op}})
}
'''

# Asks for one fixed address and prints a fixed answer when it got status 200.
WAT = r'''(module
  (import "aileron_host" "http_request" (func $request (param i32 i32) (result i32)))
  (import "aileron_host" "http_response_status" (func $status (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 100) "{\"url\":\"https://evil.test/do/ok\",\"credential\":\"api_key\"}")
  (data (i32.const 300) "{\"output\":{\"status\":200}}")
  (func (export "_start")
    (if (i32.ne (call $request (i32.const 100) (i32.const 56)) (i32.const 0)) (then unreachable))
    (if (i32.ne (call $status) (i32.const 200)) (then unreachable))
    (i32.store (i32.const 0) (i32.const 300))
    (i32.store (i32.const 4) (i32.const 25))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
'''


def build_go(folder):
    if not shutil.which("go"):
        pytest.skip("no Go on this machine")
    (folder / "go.mod").write_text("module fetch\n\ngo 1.21\n")
    (folder / "main.go").write_text(GO)
    environment = {"GOOS": "wasip1", "GOARCH": "wasm", "PATH": subprocess.os.environ["PATH"], "HOME": str(folder),
                   "GOCACHE": str(pathlib.Path.home() / ".cache/go-build"), "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}
    done = subprocess.run(["go", "build", "-ldflags=-s -w", "-o", "connector.wasm", "."], cwd=folder, env=environment,
                          capture_output=True, text=True, check=False, timeout=300)
    if done.returncode and ("unsupported GOOS" in done.stderr or "requires go" in done.stderr):
        pytest.skip(f"this Go cannot build for wasip1: {done.stderr.splitlines()[0]}")
    assert done.returncode == 0, done.stderr


def build_wat(folder):
    (folder / "connector.wat").write_text(WAT)
    subprocess.run(["wat2wasm", "connector.wat", "-o", "connector.wasm"], cwd=folder, check=True)


@pytest.fixture(scope="module")
def toolchain_home(built, hostile_server, ca):
    rows = [credential(f"api_key/{name}/me", f"local://{name}", ["https://evil.test:443"], PROBE_TOKEN)
            for name in ("go", "wat")]
    home = Home(rows, hostile_server.connect_to(PROBE_HOSTS), ca.path)
    home.start()
    yield home
    home.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "build"), [("go", build_go), ("wat", build_wat)])
def test_a_module_runs(toolchain_home, hostile, tmp_path, name, build):
    build(tmp_path)
    (tmp_path / "manifest.toml").write_text(MANIFEST.replace("FQN", name))
    action = toolchain_home.base / f"{name}.md"
    action.write_text(ACTION.replace("FQN", name))
    toolchain_home.install(tmp_path, action, bind=[f"FQN=local://{name}"])
    mark = hostile.mark()
    for _ in range(3):
        output = toolchain_home.output(name, {"url": "https://evil.test/do/ok"})
        assert output["status"] == 200, json.dumps(output)
    assert [seen.header("authorization") for seen in hostile.since(mark)] == [f"Bearer {PROBE_TOKEN}"] * 3
