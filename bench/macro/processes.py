"""Starts and stops the measured processes, and reads their resource use."""

import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.request

TICK = 1 / os.sysconf("SC_CLK_TCK")


def stat(pid):
    """Returns the fields of `/proc/PID/stat` after the name, or None if the process has ended."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None


def tree(pid):
    """Returns a process and all its descendants."""
    children = {}
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        if fields := stat(process.name):
            children.setdefault(int(fields[1]), []).append(int(process.name))
    pids, look = [], [pid]
    while look:
        one = look.pop()
        pids.append(one)
        look += children.get(one, [])
    return pids


def cpu_seconds(pid):
    """Returns the processor time of a process and its descendants, including those that have ended."""
    every = (stat(one) for one in tree(pid))
    return sum(int(ticks) for fields in every if fields for ticks in fields[11:15]) * TICK


def resident_mb(pid):
    """Returns the resident memory of a process and its descendants, in megabytes (10^6 bytes)."""
    total = 0
    for one in tree(pid):
        if fields := stat(one):
            total += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return total / 1e6


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def listener_of(port):
    """Returns the process that listens on a local port, the oldest of several."""
    wanted = f":{port:04X}"
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in pathlib.Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(wanted) and fields[3] == "0A":
                inodes.add(f"socket:[{fields[9]}]")
    owners = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(fd) in inodes for fd in (process / "fd").iterdir()):
                owners.append(int(process.name))
        except OSError:
            pass
    if not owners:
        raise SystemExit(f"no process listens on port {port}")
    return min(owners)


class Server:
    """A server process that is stopped at the end of the run."""

    def __init__(self, name, command, env, log, health="/health"):
        self.name, self.port = name, free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        env = {**env, "APP_PORT": str(self.port), "PORT": str(self.port)}
        self.log = open(log, "wb")
        self.process = subprocess.Popen(command, env=env, stdout=self.log, stderr=self.log)
        self.pid = self.process.pid
        self.pids = [self.pid]
        for _ in range(1200):
            if self.process.poll() is not None:
                break
            try:
                urllib.request.urlopen(self.base + health, timeout=2).read()
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"{name} did not start; its log is {log}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
