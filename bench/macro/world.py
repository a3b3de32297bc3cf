"""Creates the test data: an org without caps, a project with a thousand tasks, and one that grows."""

import http.client
import json
import urllib.parse
from dataclasses import dataclass

TASKS = 1000


@dataclass
class World:
    token: str
    org: str
    full: str
    grows: str

    @property
    def list_path(self):
        return f"/orgs/{self.org}/projects/{self.full}/tasks?limit=20"

    @property
    def create_path(self):
        return f"/orgs/{self.org}/projects/{self.grows}/tasks"


class Client:
    """A connection to a server; an unexpected answer ends the run."""

    def __init__(self, base, token=None):
        self.base, self.token = base, token
        self.connection = http.client.HTTPConnection(urllib.parse.urlsplit(base).netloc, timeout=30)

    def send(self, status, method, path, body=None):
        headers = {"content-type": "application/json"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        text = None if body is None else json.dumps(body)
        self.connection.request(method, path, text, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status != status:
            raise SystemExit(f"{method} {self.base}{path}: {answer.status}, not {status}: {content}")
        return json.loads(content) if content else None


def make(base):
    client = Client(base)
    link = client.send(202, "POST", "/auth/request-link", {"email": "bench@example.org"})["token"]
    client.token = client.send(200, "POST", "/auth/redeem", {"token": link})["access_token"]
    org = client.send(201, "POST", "/orgs", {"name": "Bench"})["id"]
    page = client.send(201, "POST", f"/orgs/{org}/billing/checkout")
    client.send(200, "POST", f"/dev/checkout/{page['session_id']}")
    projects = [
        client.send(201, "POST", f"/orgs/{org}/projects", {"name": name})["id"] for name in ("Full", "Grows")
    ]
    world = World(client.token, org, *projects)
    for number in range(TASKS):
        client.send(201, "POST", f"/orgs/{org}/projects/{world.full}/tasks", {"title": f"Task {number}"})
    return world
