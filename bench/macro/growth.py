#!/usr/bin/env python3
"""Measures what a request costs beside more and more data of other tenants. `bench/measure growth` runs it.

    growth.py [--seconds 4] [--most 10000000] [--events 1000000]

One org and its thousand tasks stay what they are, while other orgs and their tasks are added, straight into
the database. Of each size it says what a page of tasks and a create cost in processor time; then what a
webhook costs beside an empty and a full ledger, what a key of the limiter takes in Redis, and what it takes to
purge the bodies of a full ledger.
"""

import argparse
import concurrent.futures
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import compare
import processes
import world as worlds

# The body of an event: 2304 bytes with repeated content, because real bodies can be compressed too.
BODY = "decode(repeat((select string_agg(md5(n::text || part), '') from generate_series(1, 24) part), 6), 'hex')"


def psql(sql):
    """Runs SQL as a superuser on the server's database and returns the plain output."""
    url = urllib.parse.urlsplit(os.environ["MT_TEST_DATABASE_URL"])._replace(path="/mt").geturl()
    said = subprocess.run(["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", url], input=sql, capture_output=True, text=True)
    if said.returncode:
        raise SystemExit(said.stderr)
    return said.stdout.strip()


def others(orgs, tasks):
    """Adds orgs and tasks up to these numbers, the tasks spread evenly over the orgs."""
    have = int(psql("select count(*) from mt.tenants where name = 'Other'"))
    if orgs > have:
        psql(
            f"with made as (insert into mt.tenants (id, name, plan, subscription_status) "
            f"select gen_random_uuid(), 'Other', 'pro', 'active' from generate_series(1, {orgs - have}) returning id), "
            "people as (insert into mt.users (id, email) select id, id || '@example.org' from made), "
            "members as (insert into mt.memberships (tenant_id, principal_id, role, is_owner) "
            "select id, id, 'owner', true from made) "
            "insert into app.projects (tenant_id, id, name) select id, id, 'One' from made"
        )
    # Indexes are created afterwards and keys are not checked; otherwise ten million rows would take an hour.
    indexes = "from pg_indexes where schemaname = 'app' and tablename = 'tasks' and indexname <> 'tasks_pkey'"
    drop = psql(f"select string_agg(format('drop index app.%I', indexname), '; ') {indexes}")
    make = psql(f"select string_agg(indexdef, '; ') {indexes}")
    psql(
        f"begin; set local session_replication_role = replica; {drop}; "
        "insert into app.tasks (tenant_id, id, project_id, title, created_by) "
        "select o.id, gen_random_uuid(), o.id, 'Task ' || n, o.id from "
        "(select id from mt.tenants o where name = 'Other' and not exists (select 1 from app.tasks where tenant_id = o.id) "
        f"order by id) o cross join generate_series(1, {tasks // orgs}) n; "
        f"set local maintenance_work_mem = '256MB'; {make}; commit"
    )
    psql("vacuum analyze app.tasks, app.projects, mt.tenants, mt.memberships, mt.users")


def events(number):
    """Adds old, processed events up to this number."""
    have = int(psql("select count(*) from mt.webhook_events"))
    if number > have:
        psql(
            "insert into mt.webhook_events (id, provider, event_id, type, body, status, processed_at, received_at) "
            "select gen_random_uuid(), 'stripe', 'evt_old_' || n, 'customer.subscription.updated', "
            f"{BODY}, 'processed', "
            f"now() - interval '2 days', now() - interval '2 days' from generate_series({have + 1}, {number}) n"
        )
        psql("vacuum analyze mt.webhook_events")


def retention(own, log, postgres):
    """Measures how long a starting server takes to purge all bodies that are older than a day."""
    of_old = "select count(*) from mt.webhook_events where body is not null and received_at < now() - interval '1 day'"
    old, size = int(psql(of_old)), "select pg_size_pretty(pg_total_relation_size('mt.webhook_events'))"
    if not old:
        return
    before, began = processes.cpu_seconds(postgres), time.monotonic()
    env = own | {"WEBHOOK_RETENTION_DAYS": "1"}
    server = processes.Server("retention", [os.environ["MT_SERVER"], "serve"], env, log / "retention.log")
    # Polling costs processor time too, so poll seldom.
    while psql(of_old) != "0":
        time.sleep(2)
    seconds, cpu = time.monotonic() - began, processes.cpu_seconds(postgres) - before
    server.stop()
    print(f"\n{old} bodies were purged in {seconds:.0f} s and {cpu / old * 1e6:.0f} µs of Postgres each", end="")
    psql("vacuum mt.webhook_events")
    print(f"; the ledger takes {psql(size)} then, vacuumed.")


class Deliveries:
    """Sends new signed events over a few connections. Its own processor time is not counted."""

    def __init__(self, server, customer):
        self.server, self.customer, self.lock, self.next = server, customer, threading.Lock(), 0

    def deliver(self, until, done):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        while time.monotonic() < until:
            with self.lock:
                self.next += 1
                number = self.next
            now = int(time.time())
            # At most one in a second: events of the same second are stored side by side until a later one arrives.
            created = now - 1_000_000 + number
            subscription = {
                "id": "sub_growth", "object": "subscription", "customer": self.customer, "status": "active",
                "created": now - 2_000_000, "cancel_at_period_end": False,
                "items": {"object": "list", "has_more": False, "data": [
                    {"price": {"id": "price_pro", "object": "price"}, "quantity": 1,
                     "current_period_start": now, "current_period_end": now + 2592000}]},
            }
            event = {
                "id": f"evt_{time.monotonic_ns()}_{number}", "object": "event", "type": "customer.subscription.updated",
                "api_version": "2026-10-28.endive", "created": created, "livemode": False, "pending_webhooks": 1,
                "data": {"object": subscription},
            }
            body = json.dumps(event)
            secret = os.environ["STRIPE_WEBHOOK_SECRET"].encode()
            signature = hmac.new(secret, f"{now}.{body}".encode(), hashlib.sha256).hexdigest()
            headers = {"content-type": "application/json", "stripe-signature": f"t={now},v1={signature}"}
            connection.request("POST", "/webhooks/stripe", body, headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"webhook: {answer.status} {content}")
            done.append(1)

    def run(self, seconds):
        done, until = [], time.monotonic() + seconds
        with concurrent.futures.ThreadPoolExecutor() as senders:
            for sender in [senders.submit(self.deliver, until, done) for _ in range(4)]:
                sender.result()
        return {"rate": len(done) / seconds, "p50": 0}


def medians(load, options, postgres):
    runs = sorted((compare.measured(load, options.seconds, postgres) for _ in range(3)), key=lambda run: run["postgres_us"])
    return runs[1]


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--most", type=int, default=10_000_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    options = parser.parse_args()
    options.only = ["mt"]
    log = pathlib.Path(tempfile.mkdtemp(prefix="mt-growth."))
    postgres = processes.listener_of(urllib.parse.urlsplit(os.environ["DATABASE_URL"]).port)
    own, servers = compare.started(options, log)
    server = servers["mt"]
    try:
        world = worlds.make(server.base)
        read, create = (compare.load_on(server, what, world, options.connections, log) for what in ("list", "create"))
        print("| other orgs | other tasks | page of 20: server CPU µs | Postgres CPU µs | create: server CPU µs | Postgres CPU µs |")
        print("| --- | --- | --- | --- | --- | --- |")
        for orgs, tasks in ((1, 1_000), (100, 100_000), (10_000, 10_000_000)):
            tasks = min(tasks, options.most)
            others(orgs, tasks)
            read.run(1), create.run(1)
            cells = [medians(load, options, postgres) for load in (read, create)]
            figures = " | ".join(f"{one['server_us']:.0f} | {one['postgres_us']:.0f}" for one in cells)
            print(f"| {orgs} | {tasks} | {figures} |", flush=True)
        client = worlds.Client(server.base, world.token)
        customer = client.send(200, "POST", f"/orgs/{world.org}/billing/customer")["customer_id"]
        deliveries = Deliveries(server, customer)
        print("\n| events in the ledger | webhook: server CPU µs | Postgres CPU µs | a second |\n| --- | --- | --- | --- |")
        for number in (0, options.events):
            events(number)
            deliveries.run(1)
            one = medians(deliveries, options, postgres)
            print(f"| {number} | {one['server_us']:.0f} | {one['postgres_us']:.0f} | {one['rate']:.0f} |", flush=True)
        size = psql("select pg_size_pretty(pg_total_relation_size('mt.webhook_events'))")
        print(f"\nThe ledger takes {size} then.")
        redis = ["redis-cli", "-u", os.environ["MT_TEST_REDIS_URL"]]
        keys = subprocess.run([*redis, "--scan"], capture_output=True, text=True, check=True).stdout.split()
        for key in keys[:3]:
            took = subprocess.run([*redis, "memory", "usage", key], capture_output=True, text=True, check=True).stdout
            print(f"A key of the limiter, `{key}`, takes {took.strip()} bytes in Redis.")
        retention(own, log, postgres)
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
