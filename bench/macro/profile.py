#!/usr/bin/env python3
"""Measures where the server's processor time goes. `bench/measure profile` runs it.

    profile.py [list|create] [--seconds 8] [--connections 16] [--least 2] [--svg FILE]

Pages of tasks, or creates, at full load under `perf record` (Debian: linux-perf). It prints the functions under
which at least `--least` percent of the samples fall, and with --svg draws a flame graph, for which it needs
inferno (`cargo install inferno`).
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import urllib.parse

import compare
import processes
import world as worlds


def inclusive(samples, least):
    """Returns functions with their share of the samples, the largest first."""
    command = ["perf", "report", "-i", samples, "--children", "-g", "none", "-F", "overhead_children,overhead,sym", "--stdio"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in said.splitlines():
        if (found := re.match(r"\s+([\d.]+)%\s+([\d.]+)%\s+\[.\] (.+)", line)) and float(found[1]) >= least:
            yield found[3], float(found[1]), float(found[2])


def draw(samples, svg):
    script = subprocess.run(["perf", "script", "-i", samples], capture_output=True, check=True).stdout
    folded = subprocess.run(["inferno-collapse-perf"], input=script, capture_output=True, check=True).stdout
    graph = subprocess.run(["inferno-flamegraph", "--minwidth", "0.3"], input=folded, capture_output=True, check=True).stdout
    svg.write_bytes(graph)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("what", nargs="?", choices=("list", "create"), default="list")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--least", type=float, default=2)
    parser.add_argument("--svg", type=pathlib.Path)
    options = parser.parse_args()
    options.only = ["mt"]
    log = pathlib.Path(tempfile.mkdtemp(prefix="mt-profile."))
    postgres = processes.listener_of(urllib.parse.urlsplit(os.environ["DATABASE_URL"]).port)
    own, servers = compare.started(options, log)
    server = servers["mt"]
    try:
        world = worlds.make(server.base)
        load = compare.load_on(server, options.what, world, options.connections, log)
        undisturbed = compare.measured(load, options.seconds, postgres)
        running = threading.Thread(target=load.run, args=(options.seconds + 1,))
        running.start()
        samples = str(log / "perf.data")
        # perf copies the stack with each sample, and stacks of futures are deep.
        record = ["perf", "record", "-q", "-F", "299", "--call-graph", "dwarf,16384", "-o", samples, "-p", str(server.pid)]
        subprocess.run([*record, "--", "sleep", str(options.seconds)], check=True)
        running.join()
        print(f"{undisturbed['server_us']:.0f} µs of the server's processor time a request, undisturbed.\n")
        print("| function | with what it calls, % | by itself, % |\n| --- | --- | --- |")
        for name, whole, alone in inclusive(samples, options.least):
            print(f"| `{name}` | {whole:.1f} | {alone:.1f} |")
        if options.svg:
            draw(samples, options.svg)
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
