"""Free loopback ports, waiting for listeners and for conditions."""
import socket
import time


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, what, timeout=10.0, interval=0.02):
    """Returns the first true value of condition(); fails with `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(interval)


def wait_listening(port, process=None, timeout=15.0):
    def listening():
        if process is not None and process.poll() is not None:
            raise AssertionError(f"{process.args} ended with {process.returncode} before it listened")
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_for(listening, f"port {port}", timeout)
