"""Records the statements that a server sends to Postgres for one request, as a script for pgbench."""

import hashlib
import re
import socket
import struct
import threading

# A UUIDv7 of the current time, as the server creates them, so that indexes grow at their end.
ID = (
    "(lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') "
    "|| substr(md5(random()::text), 1, 20))::uuid"
)


class Relay:
    """A proxy in front of Postgres that records every message of the simple protocol."""

    def __init__(self, host, port):
        self.server = (host, port)
        self.heard = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(self.server)
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.requests, args=(client, server), daemon=True).start()
            threading.Thread(target=self.answers, args=(server, client), daemon=True).start()

    def requests(self, client, server):
        stream = client.makefile("rb")
        kind = b""  # the first message has none
        while True:
            head = stream.read(4)
            if len(head) < 4:
                return server.close()
            body = stream.read(struct.unpack("!I", head)[0] - 4)
            if kind == b"Q":
                self.heard.append(body[:-1].decode())
            elif kind in (b"P", b"B"):
                self.heard.append(None)
            server.sendall(kind + head + body)
            kind = stream.read(1)
            if not kind:
                return server.close()

    @staticmethod
    def answers(server, client):
        try:
            while data := server.recv(65536):
                client.sendall(data)
        except OSError:
            pass  # either has hung up
        client.close()


class Statements:
    """Collects prepared statements, and makes scripts from recorded messages."""

    def __init__(self, relay, seal_key):
        self.relay, self.prepared, self.seal_key = relay, {}, seal_key

    def of(self, request, about):
        """Returns the messages about `about` that a request sends once its statements are prepared."""
        # An insert is prepared at its second run.
        request()
        request()
        self.learn()
        # A worker may send statements in between; it then pauses for a second.
        for _ in range(5):
            self.relay.heard.clear()
            request()
            heard = list(self.relay.heard)
            if None not in heard:
                # A message that does not contain the org's id is from a worker.
                return [said for said in heard if about in said]
        raise SystemExit("a statement goes by itself, so pgbench could not say the same")

    def learn(self):
        for said in filter(None, self.relay.heard):
            for name, types, sql in re.findall(r"prepare (mt_\d+)(\([^)]*\))? as (.*?); execute \1\b", said, re.S):
                self.prepared[name] = f"prepare {name}{types} as {sql}"

    def script(self, messages):
        used = sorted({name for said in messages for name in re.findall(r"execute (mt_\d+)", said)})
        prepare = ["begin", "set local role mt_app", *(self.prepared[name] for name in used), "commit"]
        lines = [r"\if :ready = 0", message(prepare), r"\set ready 1", r"\endif"]
        lines += [message(map(self.anew, split(said))) for said in messages]
        return "\n".join(lines) + "\n"

    def anew(self, statement):
        """Returns the statement for every connection of pgbench: with a ticket that no backend is part of, and a new id
        for each inserted row, the second value of an insert."""
        enter = re.fullmatch(r"call mt\.enter\('(.*)', '(.*)', '(.*)', \d+, '[0-9a-f]{64}'\)", statement)
        if enter:
            said = "enter 0 {} {} {}".format(*enter.groups())
            ticket = hashlib.sha256(self.seal_key + said.encode()).hexdigest()
            return "call mt.enter('{}', '{}', '{}', 0, '{}')".format(*enter.groups(), ticket)
        name = re.match(r"execute (mt_\d+)\(", statement)
        if not name or " as insert into" not in self.prepared[name[1]]:
            return statement
        return re.sub(r"(\('[0-9a-f-]{36}', )'[0-9a-f-]{36}'", rf"\1{ID}", statement, count=1)


def message(statements):
    """Joins statements to one message: in pgbench a backslash before a semicolon keeps the message open."""
    joined = " \\; ".join(" ".join(statement.split()) for statement in statements)
    return joined + ";"


def split(said):
    return said.split("; ")
