"""
The fence from inside: what an agent's shell tries, as an ordinary user and as root, on this kernel and with Landlock as old as
Debian 12's. Every attempt is also made without the fence, where it must succeed: a probe that cannot reach what it asks for
would prove nothing.
"""
import json
import os
import shutil
import stat
import subprocess
import time

import pytest

from tests.rig.fence import PYTHON, ROOT_ONLY, USER_ONLY, UserHome, both, end_all, home_port, left_open, programs, tell
from tests.rig.home import alive, children_of
from tests.rig.ports import wait_for

# --- our own


def test_state_and_session(fenced):
    result = fenced.run("grep -E '^(Cap|NoNewPrivs)' /proc/self/status; ls -A $AILERON_HOME")
    assert "fence: on" in result.err and "OFF" not in result.err
    status = dict(line.split(":\t") for line in result.out.splitlines() if ":" in line)
    assert status["NoNewPrivs"] == "1"
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert result.out.splitlines()[-2:] == ["agent", "session"]
    newest = fenced.home.cli("sessions", "list", "--json", check=0).json()["sessions"][0]
    assert newest["confinement"] == "fence" and newest["ended_at"]


def test_nothing_of_the_home_is_readable(fenced):
    files = [str(path) for path in fenced.home.path.rglob("*") if not path.is_dir()]
    assert any(path.endswith("daemon.json") for path in files) and len(files) > 5
    result = fenced.python(f"""
import glob, os
seen = []
for path in {files!r}:
    for at in (path, "/proc/1/root" + path, "/proc/self/root" + path, *[f + path for f in glob.glob("/proc/*/root")]):
        if os.path.exists(at) and not path.endswith("/agent/agent.sock"):
            seen.append(at)
for root, folders, names in os.walk({str(fenced.home.path)!r}):
    seen += [os.path.join(root, name) for name in names]
print(seen)
""")
    home = fenced.home.path
    assert sorted(eval(result.out)) == sorted([f"{home}/session", f"{home}/agent/agent.sock"])


def test_the_home_under_another_mount_is_hidden_too(fenced):
    other = fenced.home.base / "other"
    other.mkdir(exist_ok=True)
    script = f"cat {other}/home/daemon.json && echo reached"
    bind = ["unshare", "-m", "sh", "-c", f'mount --bind {fenced.home.base} {other} && exec "$@"', "sh"]
    assert "reached" in fenced.run(script, "--no-fence", prefix=bind).out
    assert "reached" not in fenced.run(script, prefix=bind, check=1).out
    bind = ["unshare", "-m", "sh", "-c", f'mount --bind {fenced.home.path} {other} && exec "$@"', "sh"]
    assert "reached" in fenced.run(f"cat {other}/daemon.json && echo reached", "--no-fence", prefix=bind).out
    assert "reached" not in fenced.run(f"cat {other}/daemon.json && echo reached", prefix=bind, check=1).out


def test_our_own_commands_say_where_they_are(fenced):
    for words in ("approval list", "action list", "vault unlock", "daemon start"):
        result = fenced.run(f"{fenced.home.program} {words}", check=None)
        assert result.code in (3, 4) and "inside the fence" in result.err, repr(result)


@USER_ONLY
def test_other_homes_of_ours_are_hidden(fenced):
    """One that runs elsewhere, and the usual one whether it runs or not."""
    other = UserHome(fenced.home.uid)
    usual = fenced.home.base / "user/.aileron"
    usual.mkdir(mode=0o700, exist_ok=True)
    (usual / "keyring.json").write_text("{}")
    fenced.home.own(usual)
    try:
        other.start()
        both(fenced, f"assert 'token' in open({str(other.path / 'daemon.json')!r}).read()")
        both(fenced, f"open({str(usual / 'keyring.json')!r}).read()")
    finally:
        other.close()


def test_owner_doors(fenced):
    home = fenced.home
    for door, kind in ((home.path / "daemon.sock", "SOCK_STREAM"), (home.path / "keeper.sock", "SOCK_SEQPACKET")):
        both(fenced, f"socket.socket(socket.AF_UNIX, socket.{kind}).connect({str(door)!r})")


def test_no_decision(fenced):
    """The loopback door is there, and takes nothing that can be found inside."""
    result = fenced.python(f"""
import http.client, json, os
token = open(os.environ["AILERON_HOME"] + "/session").read().strip()
tried = []
for key in ("", token):
    for method, path in (("GET", "/v1/approvals"), ("POST", "/v1/approvals/apr_1/decide"), ("POST", "/v1/web/code"), ("GET", "/v1/status"),
                         ("PATCH", "/v1/config"), ("POST", "/v1/sessions"), ("POST", "/v1/stop"), ("GET", "/v1/audit")):
        connection = http.client.HTTPConnection("127.0.0.1", {home_port(fenced.home)})
        connection.request(method, path, "{{}}" if method != "GET" else None,
                           {{"Content-Type": "application/json", **({{"Authorization": "Bearer " + key}} if key else {{}})}})
        tried.append((bool(key), connection.getresponse().status))
print(json.dumps(tried))
""")
    answers = json.loads(result.out)
    assert len(answers) == 16 and {status for key, status in answers if not key} == {401}
    assert {status for key, status in answers if key} == {403}


def test_our_programs_cannot_be_seen_signalled_or_traced(fenced):
    home = fenced.home
    pids = [home.pid(), *home.processes()]
    assert len(pids) >= 2
    result = fenced.run("for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done; echo launcher $PPID")
    assert "aileron-broker" not in result.out and "aileron-keeper" not in result.out
    each = f"""
seen = []
for pid in {pids}:
    for way in (lambda: os.kill(pid, 0), lambda: open(f"/proc/{{pid}}/cmdline").read(), lambda: os.pidfd_open(pid)):
        try:
            way()
            seen.append(pid)
        except OSError:
            pass
"""
    both(fenced, each + f"assert len(seen) == {3 * len(pids)}, seen")
    both(fenced, each + "assert seen, seen")
    sleeper = subprocess.Popen(home.command("version", prefix=())[:-2] + ["sleep", "100"] if home.uid else ["sleep", "100"])
    try:
        attach = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
assert libc.ptrace(16, {sleeper.pid}, 0, 0) == 0, ctypes.get_errno()
os.waitpid({sleeper.pid}, 0x40000000)
assert libc.ptrace(17, {sleeper.pid}, 0, 0) == 0
"""
        both(fenced, attach)
    finally:
        sleeper.kill()
        sleeper.wait()


def test_killing_all_there_is_kills_only_the_inside(fenced):
    pids = [fenced.home.pid(), *fenced.home.processes()]
    for script in ("sleep 60 & kill -9 -1", "kill -9 0; sleep 5", "kill -9 1; kill -9 $PPID; exit 3"):
        result = fenced.run(script, check=None)
        assert result.code in (0, 137, 3), repr(result)
    assert all(alive(pid) for pid in pids)
    assert not left_open(fenced.home)


def test_what_stays_behind_ends_with_the_agent(fenced):
    mark = f"7{os.getpid()}{int(time.time()) % 1000}"
    fenced.run(f"setsid sleep {mark} & setsid sh -c 'trap \"\" TERM HUP; sleep {mark}' & sleep 0.3")
    assert subprocess.run(["pgrep", "-f", f"sleep {mark}"], capture_output=True, check=False).returncode == 1


def test_a_killed_launcher_takes_the_inside_along(fenced):
    mark = f"8{os.getpid()}{int(time.time()) % 1000}"
    process = fenced.popen(f"trap '' TERM HUP; setsid sleep {mark} & echo ready; sleep {mark}", stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL)
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.wait()
    wait_for(lambda: subprocess.run(["pgrep", "-f", f"sleep {mark}"], capture_output=True, check=False).returncode == 1,
             "the end of everything inside", 5)
    process.stdout.close()
    end_all(fenced.home)


def test_a_launcher_that_is_killed_while_the_fence_goes_up_leaves_nothing(fenced):
    """Before there is a signal for its end, the closed channel is what tells of it."""
    mark = f"9{os.getpid()}{int(time.time()) % 1000}"
    fenced.run("true")
    began = time.monotonic()
    fenced.run("true")
    most = time.monotonic() - began
    for turn in range(16):
        process = fenced.popen(f"sleep {mark}", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(most * turn / 16)
        process.kill()
        process.wait()
    left = ["pgrep", "-P", "1", "-f", f"{programs()}/src/cli/aileron launch"]
    for what in (left, ["pgrep", "-f", f"sleep {mark}"]):
        wait_for(lambda what=what: subprocess.run(what, capture_output=True, check=False).returncode == 1, "the end of all of it", 10)
    end_all(fenced.home)


def test_no_descriptor_is_inherited(fenced):
    with open(fenced.home.path / "daemon.json", encoding="utf-8") as file:
        os.set_inheritable(file.fileno(), True)
        result = fenced.run("ls /proc/self/fd | tr '\\n' ' '", pass_fds=[file.fileno()])
    assert result.out.split() in (["0", "1", "2", "3"], ["0", "1", "2"])


# --- undoing it


def test_the_mounts_cannot_be_undone(fenced):
    home = fenced.home.path
    ways = ["umount -l $H", "umount -l $H/agent", "mount --move $H /mnt", "unshare -Urm umount -l $H",
            "unshare -Urm sh -c 'umount -l $H; umount -l $H; true'", "unshare -Urm mount --bind / /mnt",
            "unshare -Urm sh -c 'mount --rbind / /mnt && umount -l /mnt$H'", "unshare -Urmpf --mount-proc true",
            "nsenter -t 1 -m true", "nsenter -t 1 -U true", "chroot /proc/1/root true"]
    look = "cat $H/daemon.json $H/daemon.pid /mnt$H/daemon.json /proc/1/root$H/daemon.json && echo reached"
    script = [f"export H={home}"]
    for way in ways:
        inner = way.replace("unshare -Urm ", "").replace("'", '"')
        script += [way, look, f"unshare -Urm sh -c '{inner}; {look}'", "ls -A $H; echo ---"]
    result = fenced.run("\n".join(script))
    assert "reached" not in result.out and '"token"' not in result.out, repr(result)
    parts = result.out.split("---\n")
    assert len(parts) == len(ways) + 1
    for way, part in zip(ways, parts):
        assert part.split()[-2:] == ["agent", "session"], (way, part)


def test_the_agent_folder_is_read_only(fenced):
    both(fenced, f"os.rename({str(fenced.home.path / 'agent/agent.sock')!r}, {str(fenced.home.path / 'agent/moved')!r}); "
         f"os.rename({str(fenced.home.path / 'agent/moved')!r}, {str(fenced.home.path / 'agent/agent.sock')!r})")
    both(fenced, f"open({str(fenced.home.path / 'agent/x')!r}, 'w'); os.unlink({str(fenced.home.path / 'agent/x')!r})")


def test_no_other_home_is_put_in_its_place(fenced):
    """By renaming a folder above it, one that the agent may rename."""
    base = fenced.home.base
    both(fenced, f"os.rename({str(base)!r}, {str(base) + '-moved'!r}); os.rename({str(base) + '-moved'!r}, {str(base)!r})")
    result = fenced.python(tell(f"os.rename({str(fenced.home.path)!r}, {str(base / 'away')!r})"))
    assert result.out.startswith("held")


def test_our_programs_cannot_be_replaced(fenced):
    """They may lie in a folder of the person's, as after `make install PREFIX=~/.local`."""
    home = fenced.home
    place = shutil.copytree(programs(), home.base / "installed")
    home.own(place, *place.rglob("*"))
    usual, home.program = home.program, place / "src/cli/aileron"
    try:
        for name in ("src/cli/aileron", "src/relay/aileron-mcp", "libexec/aileron-keeper"):
            target = str(place / name)
            both(fenced, f"os.rename({target!r}, {target + '.old'!r}); os.rename({target + '.old'!r}, {target!r})")
            both(fenced, f"os.utime({target!r})")
    finally:
        home.program = usual
        shutil.rmtree(place)


def test_nothing_makes_one_more_powerful(fenced):
    """A program of root's with the set-user-id bit; for root a program that would get every capability."""
    program = fenced.home.base / "become"
    shutil.copy("/usr/bin/python3", program)
    program.chmod(0o4755)
    code = "import os; s = open('/proc/self/status').read(); print('reached' if 'CapEff:\\t0000000000000000' not in s else 'held')"
    assert fenced.run(f"{program} -c {json.dumps(code)}", "--no-fence").out.strip() == "reached"
    assert fenced.run(f"{program} -c {json.dumps(code)}").out.strip() == "held"


# --- the kernel


def test_cgroups_of_ours_cannot_be_mounted(fenced):
    way = "unshare -UrmC mount -t cgroup2 none /mnt && echo reached"
    assert "reached" in fenced.run(way, "--no-fence", check=None).out
    assert "reached" not in fenced.run(way, check=None).out
    assert "reached" not in fenced.run("unshare -UC true && echo reached", check=None).out
    # clone3 keeps its flags in memory, where a filter cannot look: it is not there at all.
    both(fenced, """
import ctypes, struct
args = ctypes.create_string_buffer(struct.pack("8Q", 0x12000000, 0, 0, 0, 17, 0, 0, 0))
pid = ctypes.CDLL(None, use_errno=True).syscall(435, args, 64)
if pid == 0:
    os._exit(0)
assert pid > 0, ctypes.get_errno()
""")


def test_io_uring_is_not_there(fenced):
    if os.uname().machine not in ("x86_64", "aarch64"):
        pytest.skip("the number is not known here")
    code = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
params = ctypes.create_string_buffer(200)
assert libc.syscall(425, 4, params) >= 0, ctypes.get_errno()
"""
    both(fenced, code)


OTHER_CALLS = r"""
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/syscall.h>
int main(int argc, char **argv)
{
    long r;
    if (!strcmp(argv[1], "i386"))
        __asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory", "r8", "r9", "r10", "r11"); /* getpid */
    else
        r = syscall(0x40000000 | SYS_getpid);
    printf("%ld reached\n", r);
    return 0;
}
"""


def test_calls_of_other_machines(fenced):
    """Their numbers mean something else, so what looks at calls would look at the wrong ones."""
    if os.uname().machine != "x86_64":
        pytest.skip("for x86-64")
    program = fenced.home.base / "calls"
    program.with_suffix(".c").write_text(OTHER_CALLS)
    subprocess.run(["cc", "-O1", "-o", program, program.with_suffix(".c")], check=True)
    program.chmod(0o755)
    tried = 0
    for kind in ("i386", "x32"):
        outside = fenced.run(f"exec {program} {kind}", "--no-fence", check=None)
        if "reached" not in outside.out or outside.out.startswith("-"):
            continue  # this kernel has no such calls
        tried += 1
        assert fenced.run(f"exec {program} {kind}", check=None).code == 128 + 31
    if not tried:
        assert fenced.run(f"exec {program} x32", check=None).code == 128 + 31


def test_groups_stay(fenced):
    """A file that one may read only as a member of a group."""
    file = fenced.home.base / "groups"
    file.write_text("shared")
    os.chown(file, 0, 45678)
    file.chmod(0o640)
    command = [word if word != "--clear-groups" else "--groups=45678" for word in fenced.home.command(*fenced.args())]
    fenced.agent.does(f"cat {file}")
    done = subprocess.run(command, env={**fenced.home.environment, **fenced.environment}, cwd=fenced.home.project, capture_output=True,
                          text=True, check=True, stdin=subprocess.DEVNULL)
    assert done.stdout == "shared"


def test_devices_made_elsewhere_are_no_devices(fenced):
    node = fenced.home.base / "zero"
    if not node.exists():
        os.mknod(node, 0o666 | stat.S_IFCHR, os.makedev(1, 5))
        node.chmod(0o666)
    both(fenced, f"assert open({str(node)!r}, 'rb').read(1)")


def test_shared_memory_is_apart(fenced):
    shm = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
"""
    key = 0x41000000 + os.getpid()
    make = subprocess.run([*fenced.home.command()[:-1], PYTHON, "-c", f"{shm}print(libc.shmget({key}, 4096, 0o1666))"],
                          capture_output=True, text=True, check=True)
    try:
        both(fenced, f"{shm}assert libc.shmget({key}, 4096, 0) >= 0, ctypes.get_errno()")
    finally:
        subprocess.run(["ipcrm", "-m", make.stdout.strip()], check=True)


def test_the_first_process_inside_is_closed(fenced):
    result = fenced.python(tell("open('/proc/1/environ').read()"))
    assert result.out.startswith("held"), repr(result)
    result = fenced.python(tell("import ctypes\nassert ctypes.CDLL(None, use_errno=True).ptrace(16, 1, 0, 0) == 0"))
    assert result.out.startswith("held"), repr(result)


def test_the_namespaces_are_nested_twice(fenced):
    """Seen from outside: what made the mounts, what tends the inside, and the agent."""
    process = fenced.popen("echo ready; read line", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.stdout.readline()
    first, second, agent = children_of(process.pid)[:3]

    def spaces(pid):
        return {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("user", "mnt", "pid", "ipc", "net")}

    us, outer, inner, program = spaces("self"), spaces(first), spaces(second), spaces(agent)
    assert inner == program
    for kind in ("user", "mnt", "pid"):
        assert len({us[kind], outer[kind], inner[kind]}) == 3, kind
    assert us["ipc"] != inner["ipc"] and us["net"] == inner["net"]
    assert (outer["net"] == us["net"]) != fenced.old, "sockets are made in an empty network exactly where Landlock is too old"
    process.communicate("\n", timeout=20)


@ROOT_ONLY
def test_root_without_powers_writes_nothing_of_the_kernel(fenced):
    both(fenced, "f = open('/proc/sys/kernel/core_pattern', 'r+'); t = f.read(); f.seek(0); f.write(t); f.close()")
    tuned = "/sys/kernel/mm/transparent_hugepage/enabled"
    if os.path.exists(tuned):
        both(fenced, f"t = open({tuned!r}).read().partition('[')[2].partition(']')[0]; open({tuned!r}, 'w').write(t)")
    for cgroups in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
        if os.path.exists(cgroups + "/cgroup.procs"):
            both(fenced, f"os.mkdir('{cgroups}/aileron-test'); os.rmdir('{cgroups}/aileron-test')")
    both(fenced, "open('/etc/aileron-test', 'w').close(); os.unlink('/etc/aileron-test')")
    both(fenced, "open('/var/spool/aileron-test', 'w').close(); os.unlink('/var/spool/aileron-test')")
    pattern = "/proc/sys/kernel/core_pattern"
    again = f"unshare -Urmpf --mount-proc sh -c 'cat {pattern} >/tmp/p && cat /tmp/p >{pattern} && echo reached'"
    assert "reached" in fenced.run(again, "--no-fence", check=None).out
    assert "reached" not in fenced.run(again, check=None).out
