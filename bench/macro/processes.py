"""Processes that are measured: what they use, and starting and stopping them."""

import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.request

TICK = 1 / os.sysconf("SC_CLK_TCK")


def stat(pid):
    """The fields of a process behind its name, or None if it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None


def tree(pid):
    """A process and all that came from it."""
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
    """Processor time of a process and its descendants, also of those that have ended."""
    every = (stat(one) for one in tree(pid))
    return sum(int(ticks) for fields in every if fields for ticks in fields[11:15]) * TICK


def resident_mb(pid):
    """Memory that is resident, of a process and its descendants, in megabytes (10^6 bytes)."""
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
    """The process that listens on a port of this machine, the eldest if they are several."""
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
        raise SystemExit(f"nobody listens on port {port}")
    return min(owners)


class Server:
    """A server that is started for the run, and stopped with it."""

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
