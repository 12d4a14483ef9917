"""A DNS server on loopback (UDP, port 53 of an address given) that answers from a table.

The keeper resolves with c-ares from /etc/resolv.conf; `resolver_namespace`
runs a command where that file names this server. It needs root (a mount
namespace); without it the tests of hostile names are skipped loudly.
"""
import ipaddress
import os
import shlex
import socket
import struct
import subprocess
import threading

A, AAAA = 1, 28


class Dns:
    """`names` maps a host to a list of addresses, or to a callable that makes one per query (rebinding)."""

    def __init__(self, names, address="127.0.0.1", port=53):
        self.names, self.asked = names, []
        self.address = address
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                query, peer = self._socket.recvfrom(4096)
            except OSError:
                return
            try:
                self._socket.sendto(self._answer(query), peer)
            except (IndexError, struct.error, OSError):
                continue

    def _answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
            at += 1 + query[at]
        kind, _ = struct.unpack("!HH", query[at + 1:at + 5])
        question = query[12:at + 5]
        name = ".".join(labels).lower()
        self.asked.append((name, kind))
        addresses = self.names.get(name)
        if callable(addresses):
            addresses = addresses()
        records = b""
        count = 0
        for text in addresses or []:
            address = ipaddress.ip_address(text)
            if kind == (A if address.version == 4 else AAAA):
                records += struct.pack("!HHHIH", 0xC00C, kind, 1, 0, len(address.packed)) + address.packed
                count += 1
        flags = 0x8180 if addresses is not None else 0x8183  # answered, or no such name
        return query[:2] + struct.pack("!HHHHH", flags, 1, count, 0, 0) + question + records

    def stop(self):
        self._socket.close()


def resolver_namespace(folder, nameserver, hosts=()):
    """A command prefix: run in a mount namespace whose resolv.conf and hosts are ours.

    `hosts` are extra lines of /etc/hosts, such as "169.254.169.254 meta.test".
    """
    resolv, hosts_file = folder / "resolv.conf", folder / "hosts"
    resolv.write_text(f"nameserver {nameserver}\noptions timeout:1 attempts:1\n")
    hosts_file.write_text("\n".join(["127.0.0.1 localhost", *hosts, ""]))
    target = os.path.realpath("/etc/resolv.conf")
    script = (f"mount --bind {shlex.quote(str(resolv))} {shlex.quote(target)} && "
              f"mount --bind {shlex.quote(str(hosts_file))} /etc/hosts && exec \"$@\"")
    return ["unshare", "-m", "sh", "-c", script, "sh"]


def why_no_namespace(folder):
    """None when resolver_namespace works here, else the reason that a skipped test gives."""
    if os.geteuid() != 0:
        return "a mount namespace needs root"
    done = subprocess.run([*resolver_namespace(folder, "127.0.0.1"), "true"], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"no mount namespace here: {done.stderr.strip()}"
