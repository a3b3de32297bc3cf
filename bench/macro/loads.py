"""Load generators: wrk and pgbench at full speed, oha and pgbench at a fixed rate."""

import json
import re
import subprocess


class Wrk:
    """Sends one request repeatedly over persistent connections, by wrk."""

    def __init__(self, server, path, token, body, status, connections, scripts):
        self.server = server
        self.url = server.base + path
        self.connections = connections
        lines = [f"wrk.method = '{'POST' if body else 'GET'}'"]
        if token:
            lines.append(f"wrk.headers['authorization'] = 'Bearer {token}'")
        if body:
            lines += ["wrk.headers['content-type'] = 'application/json'", f"wrk.body = '{json.dumps(body)}'"]
        lines += [
            "local wrong = 0",
            f"function response(status) if status ~= {status} then wrong = wrong + 1; print('wrong', status) end end",
        ]
        # Checking each answer slows wrk down, so only a short run before the rounds does.
        self.plain = scripts / f"{server.name}-{status}.lua".replace(" ", "-")
        self.plain.write_text("\n".join(lines[:-2]) + "\n")
        checked = scripts / "checked.lua"
        checked.write_text("\n".join(lines) + "\n")
        said = self.call(checked, 0.5)
        if "wrong" in said or "Non-2xx" in said:
            raise SystemExit(f"{self.url}: {said}")

    def call(self, script, seconds):
        command = ["wrk", "-t1", f"-c{self.connections}", f"-d{max(1, round(seconds))}s", "--latency"]
        return subprocess.run([*command, "-s", script, self.url], capture_output=True, text=True, check=True).stdout

    def run(self, seconds):
        said = self.call(self.plain, seconds)
        if "Non-2xx" in said or "Socket errors" in said:
            raise SystemExit(f"{self.url}: {said}")
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
        quantile = {at: in_ms(*found) for at, *found in re.findall(r"(50|99)%\s+([\d.]+)(us|ms|s)", said)}
        return {"rate": rate, "p50": quantile["50"], "p99": quantile["99"]}


class Paced:
    """Sends requests at a fixed rate, whether earlier ones are answered or not, by oha."""

    def __init__(self, url, token, body, connections):
        self.command = ["oha", "--no-tui", "--output-format", "json", "--latency-correction", "-c", str(connections)]
        self.command += ["-H", f"authorization: Bearer {token}"]
        if body:
            self.command += ["-m", "POST", "-T", "application/json", "-d", json.dumps(body)]
        self.url = url

    def run(self, rate, seconds):
        command = [*self.command, "-q", str(round(rate)), "-z", f"{seconds}s", self.url]
        said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        refused = {status for status in said["statusCodeDistribution"] if status not in ("200", "201")}
        if refused or said["summary"]["successRate"] < 1:
            raise SystemExit(f"{self.url}: {said['statusCodeDistribution']} {said['errorDistribution']}")
        quantile = said["latencyPercentiles"]
        return {"p50": quantile["p50"] * 1000, "p99": quantile["p99"] * 1000, "rate": said["summary"]["requestsPerSec"]}


class Pgbench:
    def __init__(self, url, script, connections):
        self.server = None
        self.command = ["pgbench", "-n", "-f", script, "-D", "ready=0", "-c", str(connections), "-j", "1", url]

    def run(self, seconds):
        said = subprocess.run(
            [*self.command, "-T", str(max(1, round(seconds)))], capture_output=True, text=True, check=False
        )
        if said.returncode or "number of failed transactions: 0 " not in said.stdout:
            raise SystemExit(f"pgbench: {said.stdout}{said.stderr}")
        rate = float(re.search(r"tps = ([\d.]+)", said.stdout)[1])
        return {"rate": rate, "p50": float(re.search(r"latency average = ([\d.]+)", said.stdout)[1])}


class PacedPgbench:
    """Sends statements at a fixed rate, without a server, by pgbench."""

    def __init__(self, load, log):
        self.command = [*load.command[:-1], "-l", f"--log-prefix={log / 'paced'}", load.command[-1]]
        self.log = log

    def run(self, rate, seconds):
        subprocess.run([*self.command, "-R", str(round(rate)), "-T", str(seconds)], capture_output=True, check=True)
        took = []
        for file in self.log.glob("paced.*"):
            took += [int(line.split()[2]) / 1000 for line in file.read_text().splitlines()]
            file.unlink()
        took.sort()
        return {"p50": took[len(took) // 2], "p99": took[len(took) * 99 // 100], "rate": len(took) / seconds}


def in_ms(number, unit):
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
