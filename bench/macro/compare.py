#!/usr/bin/env python3
"""The server beside its limits and a peer: `bench/measure compare` starts what this needs.

    compare.py [--rounds 5] [--seconds 3] [--connections 16] [--soak SECONDS] [--only WORD,…]

Every round calls each of these for some seconds, one after the other, in an order that changes:

    mt, mt again        the server; the same one twice, which says what a ratio means
    peer                FastAPI and asyncpg, held to the same behaviour first (bench/peers)
    pgbench             the same statements, message for message, without a server
    hello               salvo with one route that answers five bytes: what HTTP alone costs

A round whose two "mt" are more than a tenth apart in pages is void for pages, and likewise for creates; both are
said. It ends when there are enough valid rounds of each, or three times as many in all. Load is wrk's, on the same
processors. Figures are medians (least to most) of the rounds, ratios are taken within a round.

Then oha, and pgbench beside it, send seven tenths of the requests that "mt" kept up with, at their times whether
earlier ones are answered or not, and each latency counts from the time at which its request was due.
"""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time
import urllib.parse

import processes
import statements
import world as worlds
from loads import Paced, PacedPgbench, Pgbench, Wrk

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
HELLO_PATH = "/orgs/any/tasks"
CREATED = {"title": "Made under load"}


def used(pids):
    return sum(processes.cpu_seconds(pid) for pid in pids)


def measured(load, seconds, postgres):
    """Runs a load, and returns its figures with the processor time of each request in microseconds."""
    pids = {"postgres": [postgres]} | ({"server": load.server.pids} if load.server else {})
    before = {name: used(some) for name, some in pids.items()}
    began = time.monotonic()
    found = load.run(seconds)
    requests = found["rate"] * (time.monotonic() - began)
    for name, some in pids.items():
        found[f"{name}_us"] = (used(some) - before[name]) / requests * 1e6
    return found


def started(options, log):
    """Starts the servers of the run, all on the database that the stack's server has migrated."""
    stack = dict(
        line.split("=", 1)
        for file in (ROOT / "ops/stack.env", HERE / "stack.env")
        for line in file.read_text().splitlines()
        if line and not line.startswith("#")
    )
    own = {"PATH": os.environ["PATH"], "HOME": str(log), "MAIL_FROM": stack["MAIL_FROM"]} | stack
    own |= {name: os.environ[name] for name in ("DATABASE_URL", "SYSTEM_DATABASE_URL", "STRIPE_WEBHOOK_SECRET", "ADMIN_TOKEN")}
    own |= {"REDIS_URL": os.environ["MT_TEST_REDIS_URL"], "APP_HOST": "127.0.0.1"}
    serve = [os.environ["MT_SERVER"], "serve"]
    hello = [os.environ.get("MT_HELLO"), "serve", "salvo", "bare"]
    python = own | {"WORKERS": "2", "CARGO_TARGET_DIR": os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))}
    wanted = {
        "mt": lambda: processes.Server("mt", serve, own, log / "mt.log"),
        "peer": lambda: processes.Server("peer", [ROOT / "bench/peers/fastapi/run"], python, log / "peer.log"),
        "hello": lambda: processes.Server("hello", hello, own, log / "hello.log", health=HELLO_PATH),
    }
    return own, {name: start() for name, start in wanted.items() if name in options.only}


def seal_key():
    """The key of the tickets that open transactions. Only the system's role and a superuser can read it."""
    url = urllib.parse.urlsplit(os.environ["MT_TEST_DATABASE_URL"])._replace(path="/mt").geturl()
    sql = "select encode(mt.seal_key(), 'hex')"
    return bytes.fromhex(subprocess.run(["psql", "-qAtX", url, "-c", sql], capture_output=True, check=True).stdout.decode())


def overheard(own, world, log):
    """Records the statements of `mt` for a list and for a create, as scripts for pgbench."""
    url = urllib.parse.urlsplit(own["DATABASE_URL"])
    relay = statements.Relay(url.hostname, url.port)
    through = url._replace(netloc=f"{url.username}:{url.password}@127.0.0.1:{relay.port}", query="sslmode=disable")
    env = own | {"DATABASE_URL": through.geturl(), "DATABASE_MAX_CONNECTIONS": "1"}
    server = processes.Server("overheard", [os.environ["MT_SERVER"], "serve"], env, log / "overheard.log")
    client = worlds.Client(server.base, world.token)
    heard = statements.Statements(relay, seal_key())
    scripts = {}
    for name, request in (
        ("list", lambda: client.send(200, "GET", world.list_path)),
        ("create", lambda: client.send(201, "POST", world.create_path, CREATED)),
    ):
        messages = heard.of(request, world.org)
        scripts[name] = log / f"{name}.sql"
        scripts[name].write_text(heard.script(messages))
        print(f"{name}: {len(messages)} message(s) to Postgres", file=sys.stderr)
    server.stop()
    return scripts


def load_on(server, what, world, connections, scripts):
    """The loads for reading pages of tasks ("list") or for creating tasks ("create")."""
    path, body, status = {"list": (world.list_path, None, 200), "create": (world.create_path, CREATED, 201)}[what]
    return Wrk(server, path, world.token, body, status, connections, scripts)


def parties(options, servers, own, world, log):
    found = {}
    for name, server in servers.items():
        if name == "hello":
            found["list", name] = Wrk(server, HELLO_PATH, None, None, 200, options.connections, log)
            continue
        for what in ("list", "create"):
            found[what, name] = load_on(server, what, world, options.connections, log)
    if "mt" in servers:
        found["list", "mt again"], found["create", "mt again"] = found["list", "mt"], found["create", "mt"]
    if "pgbench" in options.only:
        for name, script in overheard(own, world, log).items():
            found[name, "pgbench"] = Pgbench(own["DATABASE_URL"], str(script), options.connections)
    return found


def rounds(options, found, postgres):
    """Returns the valid rounds for each kind of request, and the number of all rounds."""
    valid, all_of_them = {"list": [], "create": []}, 0
    names = list(found)
    while all_of_them < 3 * options.rounds and any(len(some) < options.rounds for some in valid.values()):
        place = all_of_them % len(names)
        order = names[place:] + names[:place]
        measures = {name: measured(found[name], options.seconds, postgres) for name in order}
        all_of_them += 1
        for what, some in valid.items():
            pair = measures[what, "mt again"]["rate"] / measures[what, "mt"]["rate"]
            if 0.9 <= pair <= 1.1:
                some.append(measures)
            rates = ", ".join(f"{who} {one['rate']:.0f}" for (kind, who), one in measures.items() if kind == what)
            print(f"{what}: A/A {pair:.2f}{'' if 0.9 <= pair <= 1.1 else ', void'}: {rates}", file=sys.stderr)
    return valid, all_of_them


def spread(values, digits=0):
    values = sorted(values)
    return f"{values[len(values) // 2]:.{digits}f} ({values[0]:.{digits}f}–{values[-1]:.{digits}f})"


def report(valid, all_of_them):
    for what, rounds_of_it in valid.items():
        print(f"\n{what}: {len(rounds_of_it)} valid rounds of {all_of_them}\n")
        if not rounds_of_it:
            continue
        print(f"| {what} | server CPU µs | Postgres CPU µs | requests/s | p50 ms | p99 ms | rate, mt = 1 |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for kind, who in rounds_of_it[0]:
            if kind != what:
                continue
            each = [measures[what, who] for measures in rounds_of_it]
            cells = [
                spread([one[name] for one in each], digits) if name in each[0] else ""
                for name, digits in (("server_us", 0), ("postgres_us", 0), ("rate", 0), ("p50", 2), ("p99", 2))
            ]
            ratio = [one["rate"] / measures[what, "mt"]["rate"] for one, measures in zip(each, rounds_of_it)]
            print(f"| {who} | {' | '.join(cells)} | {spread(ratio, 2)} |")
        for other in ("peer", "pgbench", "hello"):
            if (what, other) in rounds_of_it[0]:
                each = [m[what, "mt"]["rate"] / m[what, other]["rate"] for m in rounds_of_it]
                print(f"\n{what}: mt / {other} in requests a second: {spread(each, 2)}", end="")
        if (what, "peer") in rounds_of_it[0]:
            each = [m[what, "peer"]["server_us"] / m[what, "mt"]["server_us"] for m in rounds_of_it]
            print(f"\n{what}: peer / mt in server CPU a request: {spread(each, 1)}", end="")
        print()


def paced(options, valid, found, server, world, log):
    """Measures latency at seven tenths of the rate that `mt` sustains."""
    print(f"\n| at 0.7 of it, {options.rounds} x 5 s | requests/s | p50 ms | p99 ms | p99 / p50 |\n| --- | --- | --- | --- | --- |")
    for what, path, body in (("list", world.list_path, None), ("create", world.create_path, CREATED)):
        rates = sorted(measures[what, "mt"]["rate"] for measures in valid[what])
        if not rates:
            continue
        loads = {"mt": Paced(server.base + path, world.token, body, options.connections)}
        if (what, "pgbench") in found:
            loads["pgbench"] = PacedPgbench(found[what, "pgbench"], log)
        runs = {who: [] for who in loads}
        for _ in range(options.rounds):
            for who, load in loads.items():
                runs[who].append(load.run(0.7 * rates[len(rates) // 2], 5))
        for who, some in runs.items():
            cells = [spread([run[name] for run in some], digits) for name, digits in (("rate", 0), ("p50", 2), ("p99", 2))]
            print(f"| {what}, {who} | {' | '.join(cells)} | {spread([run['p99'] / run['p50'] for run in some], 1)} |", flush=True)


def soak(load, seconds, postgres):
    """Runs full load, and measures the growth of resident memory: the slope after the first fifth."""
    points, began = [], time.monotonic()
    idle = processes.resident_mb(load.server.pid)
    while time.monotonic() - began < seconds:
        load.run(9)
        points.append((time.monotonic() - began, processes.resident_mb(load.server.pid)))
    steady = points[len(points) // 5 :]
    mean = [sum(values) / len(steady) for values in zip(*steady)]
    slope = sum((t - mean[0]) * (mb - mean[1]) for t, mb in steady) / sum((t - mean[0]) ** 2 for t, _ in steady)
    print(f"\nidle {idle:.1f} MB, after {points[0][0]:.0f} s of load {points[0][1]:.1f} MB, ", end="")
    print(f"after {points[-1][0]:.0f} s {points[-1][1]:.1f} MB; slope {slope * 600:+.2f} MB in ten minutes")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--soak", type=float, default=0)
    parser.add_argument("--only", default="mt,peer,pgbench,hello")
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    options.only = options.only.split(",")
    log = pathlib.Path(tempfile.mkdtemp(prefix="mt-compare."))
    postgres = processes.listener_of(urllib.parse.urlsplit(os.environ["DATABASE_URL"]).port)
    own, servers = started(options, log)
    try:
        for name, server in servers.items():
            print(f"{name}: {processes.resident_mb(server.pid):.1f} MB resident at rest", file=sys.stderr)
        world = worlds.make(servers["mt"].base)
        if "peer" in servers:
            behaves = [ROOT / "bench/peers/behaviour.py", "--setup", servers["mt"].base, "--check"]
            bases = [server.base for name, server in servers.items() if name != "hello"]
            subprocess.run([*behaves, *bases], env=own, check=True, stdout=sys.stderr)
        found = parties(options, servers, own, world, log)
        if options.soak:
            return soak(found["list", "mt"], options.soak, postgres)
        valid, all_of_them = rounds(options, found, postgres)
        print(f"{os.cpu_count()} processors, {platform.machine()}; {options.seconds:g} s each, {options.connections} connections")
        report(valid, all_of_them)
        paced(options, valid, found, servers["mt"], world, log)
        for name, server in servers.items():
            print(f"{name}: {processes.resident_mb(server.pid):.1f} MB resident after it")
        if options.json:
            plain = {
                kind: [{f"{what} {who}": one for (what, who), one in m.items()} for m in some]
                for kind, some in valid.items()
            }
            options.json.write_text(json.dumps(plain, indent=1))
    finally:
        for server in servers.values():
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
