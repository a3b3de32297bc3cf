#!/usr/bin/env python3
"""Measures several processes, a pooler and a replica. `bench/measure scaling` runs it.

    scaling.py [--rounds 5] [--seconds 3] [--connections 16]

In interleaved rounds, a page of tasks and a create of: one server; two behind HAProxy; one behind PgBouncer in
transaction mode. Then a streaming replica: pages of tasks by a server that reads there, and how far behind it
is while the first one writes. All of it shares the processors of one machine, so what more machines would
give is not here: what is, is what each piece costs and that it works.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import compare
import processes
import world as worlds


class Proxy:
    """HAProxy in front of servers, round robin; a server whose `/ready` fails gets no requests."""

    def __init__(self, servers, folder):
        self.name, self.port, self.members = "two, HAProxy", processes.free_port(), servers
        self.base = f"http://127.0.0.1:{self.port}"
        settings = folder / "haproxy.cfg"
        lines = "\n".join(f"    server s{n} 127.0.0.1:{one.port} check" for n, one in enumerate(servers))
        settings.write_text(
            "global\n    maxconn 1000\ndefaults\n    mode http\n    timeout connect 2s\n    timeout client 30s\n"
            "    timeout server 30s\n    option http-keep-alive\n    http-reuse always\n"
            f"listen mt\n    bind 127.0.0.1:{self.port}\n    balance roundrobin\n    option httpchk GET /ready\n{lines}\n"
        )
        self.process = subprocess.Popen(["haproxy", "-db", "-f", settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pids = [self.process.pid, *(server.pid for server in servers)]
        time.sleep(3)  # until it has looked at both

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


class Replica:
    """A streaming replica of the run's Postgres, on the same machine."""

    def __init__(self, admin, folder):
        self.port, self.folder = processes.free_port(), folder / "replica"
        self.admin = admin
        owner = pathlib.Path(f"/proc/{processes.listener_of(admin.port)}").owner()
        self.bin = pathlib.Path(os.readlink(f"/proc/{processes.listener_of(admin.port)}/exe")).parent
        folder.chmod(0o755)
        self.folder.mkdir(mode=0o700)
        shutil.chown(self.folder, owner)
        run_as = ["setpriv", "--reuid", owner, "--regid", owner, "--clear-groups"] if os.geteuid() == 0 else []
        copy = [self.bin / "pg_basebackup", "-D", self.folder, "-R", "-X", "stream", "-c", "fast", "-d", admin.geturl()]
        subprocess.run([*run_as, *copy], check=True, cwd="/")
        serve = [self.bin / "postgres", "-D", self.folder, "-p", str(self.port), "-k", "", "-c", "listen_addresses=127.0.0.1"]
        settings = ["-c", "max_connections=300", "-c", "fsync=off", "-c", "hot_standby=on"]
        self.process = subprocess.Popen([*run_as, *serve, *settings], cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pid = self.process.pid
        for _ in range(200):
            if self.ask("select 1") == "1":
                return
            time.sleep(0.1)
        raise SystemExit("the replica did not start")

    def ask(self, sql, primary=False):
        user, _, _ = self.admin.netloc.rpartition("@")
        port = self.admin.port if primary else self.port
        url = self.admin._replace(netloc=f"{user}@127.0.0.1:{port}", path="/mt").geturl()
        return subprocess.run(["psql", "-qAtX", url, "-c", sql], capture_output=True, text=True).stdout.strip()

    def behind_ms(self):
        """Measures how long a write on the primary takes to be visible here."""
        wanted, began = self.ask("select pg_current_wal_insert_lsn()", primary=True), time.monotonic()
        while self.ask(f"select pg_last_wal_replay_lsn() >= '{wanted}'") != "t":
            if time.monotonic() - began > 30:
                raise SystemExit("the replica does not follow")
        return (time.monotonic() - began) * 1000

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


def through(own, port):
    url = urllib.parse.urlsplit(own["DATABASE_URL"])
    return own | {"DATABASE_URL": url._replace(netloc=f"{url.username}:{url.password}@127.0.0.1:{port}").geturl()}


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    options.only = ["mt"]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mt-scaling."))
    admin = urllib.parse.urlsplit(os.environ["MT_TEST_DATABASE_URL"])
    postgres = processes.listener_of(admin.port)
    own, servers = compare.started(options, folder)
    serve = [os.environ["MT_SERVER"], "serve"]
    running = list(servers.values())
    try:
        one = servers["mt"]
        second = processes.Server("second", serve, own, folder / "second.log")
        running.append(second)
        proxy = Proxy([one, second], folder)
        running.append(proxy)
        pooler = urllib.parse.urlsplit(os.environ["MT_TEST_PGBOUNCER_URL"]).port
        pooled = processes.Server("one, PgBouncer", serve, through(own, pooler), folder / "pooled.log")
        running.append(pooled)
        world = worlds.make(one.base)
        behaves = [compare.ROOT / "bench/peers/behaviour.py", "--setup", proxy.base, "--check", proxy.base, pooled.base]
        subprocess.run(behaves, env=own, check=True, stdout=sys.stderr)
        found = {
            (what, server.name): compare.load_on(server, what, world, options.connections, folder)
            for server in (one, proxy, pooled)
            for what in ("list", "create")
        }
        for what in ("list", "create"):
            found[what, "mt again"] = found[what, "mt"]
        valid, all_of_them = compare.rounds(options, found, postgres)
        compare.report(valid, all_of_them)

        replica = Replica(admin, folder)
        running.append(replica)
        reader = processes.Server("reader", serve, through(own, replica.port), folder / "reader.log", health="/health")
        running.append(reader)
        load = compare.load_on(reader, "list", world, options.connections, folder)
        alone = compare.measured(load, options.seconds, replica.pid)
        writes = found["create", "mt"]
        lags = []
        writing = threading.Thread(target=writes.run, args=(options.seconds * 2,))
        writing.start()
        while writing.is_alive():
            lags.append(replica.behind_ms())
        lags.sort()
        print(
            f"\nA server on the replica: {alone['rate']:.0f} pages/s, {alone['server_us']:.0f} µs of its processor time and "
            f"{alone['postgres_us']:.0f} µs of the replica's a page. While the first one writes, the replica has what was "
            f"written after {lags[len(lags) // 2]:.0f} ms (median of {len(lags)}, most {lags[-1]:.0f} ms; asking alone takes some)."
        )
        client = worlds.Client(reader.base, world.token)
        client.send(503, "POST", world.create_path, compare.CREATED)
        print("What writes is refused there with 503.")
    finally:
        for process in reversed(running):
            process.stop()


if __name__ == "__main__":
    sys.exit(main())
