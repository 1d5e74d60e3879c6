"""The operator's API as clients see it, with each answer held against docs/openapi.yaml."""

import http.client
import json
import os
import re
import socket
import ssl
import urllib.parse

import jsonschema
import yaml

from harness import PATIENCE, ROOT

CSRF = "X-Clawrden-CSRF"
PASSWORD = "correct horse battery"


def load_document():
    with open(os.path.join(ROOT, "docs", "openapi.yaml"), encoding="utf-8") as file:
        return yaml.safe_load(file)


DOCUMENT = load_document()


def routes():
    """{(method, path): needs} as the program has them."""
    with open(os.path.join(ROOT, "src", "api", "route.c"), encoding="utf-8") as file:
        found = re.findall(r'\{HTTP_([A-Z]+), "([^"]+)", handle_\w+, ROUTE_NEEDS_([A-Z]+),', file.read())
    assert len(found) > 20
    return {(method, path): needs for method, path, needs in found}


def operations():
    """{(method, path with {} for each parameter): operation} as the document has them."""
    return {(method.upper(), re.sub(r"\{\w+\}", "{}", path)): operation
            for path, item in DOCUMENT["paths"].items() for method, operation in item.items()}


def resolve(node):
    """A schema of OpenAPI 3.0 as plain JSON Schema: references followed, nullable spelled out."""
    if isinstance(node, list):
        return [resolve(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return resolve(target)
    node = {name: resolve(value) for name, value in node.items()}
    if node.pop("nullable", False):
        node["type"] = [node["type"], "null"]
        if "enum" in node and None not in node["enum"]:
            node["enum"] = node["enum"] + [None]
    return node


def operation_of(method, path):
    path = path.partition("?")[0]
    method = "GET" if method == "HEAD" else method
    for (known, pattern), operation in operations().items():
        if known == method and re.fullmatch(re.escape(pattern).replace(r"\{\}", r"[^/]+"), path):
            return operation
    return None


SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin"}


class Answer:
    def __init__(self, method, path, status, headers, body):
        self.method, self.path, self.status, self.headers, self.body = method, path, status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json["code"]

    def __repr__(self):
        return f"{self.method} {self.path}: {self.status} {self.body[:500]!r}"

    def check(self):
        """As the document says, or not at all."""
        for name, value in SECURITY_HEADERS.items():
            assert self.headers.get(name) == value, (self, name)
        assert "default-src 'none'" in self.headers["Content-Security-Policy"], self
        assert not [name for name in self.headers if name.lower().startswith("access-control")], self
        operation = operation_of(self.method, self.path)
        if operation is None:  # unknown paths are errors like all others
            schema = resolve({"$ref": "#/components/schemas/Error"})
            assert self.status >= 400, self
            jsonschema.validate(self.json, schema)
            return self
        documented = operation["responses"]
        assert str(self.status) in documented or self.status in (405, 408, 413, 417, 421, 431, 501, 505), \
            f"not documented: {self}"
        response = resolve(documented.get(str(self.status), documented["default"]))
        kind = self.headers["Content-Type"].partition(";")[0]
        assert kind in response["content"], (self, kind)
        if self.path.startswith("/api"):
            assert self.headers["Cache-Control"] == "no-store", self
        if kind == "application/json" and self.method != "HEAD":
            jsonschema.validate(self.json, response["content"][kind]["schema"])
        return self


class Client:
    """One identity. `headers` go with every request; a connection is kept as long as it lasts."""

    def __init__(self, where, headers=None, tls=None):
        self.where, self.headers, self.tls = where, dict(headers or {}), tls
        self.connection = None

    def connect(self):
        if self.where.startswith("unix:"):
            connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(PATIENCE)
            connection.sock.connect(self.where[5:])
            return connection
        parts = urllib.parse.urlsplit(self.where)
        if parts.scheme == "https":
            return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=PATIENCE, context=self.tls)
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def call(self, method, path, body=None, headers=None, check=True):
        given = {**self.headers, **(headers or {})}
        given = {name: value for name, value in given.items() if value is not None}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            given.setdefault("Content-Type", "application/json")
        for attempt in (1, 2):
            if self.connection is None:
                self.connection = self.connect()
                attempt = 2
            try:
                self.connection.request(method, path, body, given)
                response = self.connection.getresponse()
                answer = Answer(method, path, response.status, dict(response.getheaders()), response.read())
                break
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.close()  # an idle connection may end at any time
                if attempt == 2:
                    raise
        if response.will_close:
            self.close()
        return answer.check() if check else answer

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.call("POST", path, body, **more)

    def patch(self, path, body=None, **more):
        return self.call("PATCH", path, body, **more)

    def delete(self, path, **more):
        return self.call("DELETE", path, **more)

    def ok(self, method, path, body=None, **more):
        answer = self.call(method, path, body, **more)
        assert answer.status in (200, 201), answer
        return answer.json


class Service:
    """A warden with a TCP listener, and clients of every kind."""

    def __init__(self, warden):
        self.warden = warden
        self.url = warden.url
        self.port = int(self.url.rpartition(":")[2])
        self.clients = []
        self.operator = self.client(f"unix:{warden.api_socket}")
        self.nobody = self.client()

    def client(self, where=None, headers=None, **more):
        made = Client(where or self.url, headers, **more)
        self.clients.append(made)
        return made

    def make_token(self, name, role="viewer", **more):
        return self.operator.ok("POST", "/api/tokens", {"name": name, "role": role, **more})

    def bearer(self, token):
        return self.client(headers={"Authorization": f"Bearer {token}"})

    def token(self, name, role="viewer", **more):
        return self.bearer(self.make_token(name, role, **more)["token"])

    def make_user(self, name, role="viewer", password=PASSWORD, **more):
        return self.operator.ok("POST", "/api/users", {"name": name, "role": role, "password": password, **more})

    def login(self, name, password=PASSWORD):
        answer = self.nobody.post("/api/login", {"user": name, "password": password})
        assert answer.status == 200, answer
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
        return self.client(headers={"Cookie": cookie, CSRF: answer.json["csrf"]})

    def raw(self, timeout=PATIENCE):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout)
        return connection

    def close(self):
        for client in self.clients:
            client.close()


class Events:
    """A live view: yields (id, event, data) as they come."""

    def __init__(self, client, last=None, query=None):
        self.connection = client.connect()
        headers = dict(client.headers)
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        self.connection.request("GET", "/api/events" + (query or ""), headers=headers)
        self.response = self.connection.getresponse()
        self.status = self.response.status
        if self.status == 200:
            assert self.response.headers["Content-Type"] == "text/event-stream"

    def next(self):
        """The next event; None at the stream's end."""
        fields = {}
        while True:
            try:
                line = self.response.readline()
            except (http.client.IncompleteRead, ConnectionResetError):
                return None
            if not line:
                return None
            line = line.decode().rstrip("\n")
            if line == "" and "data" in fields:
                return int(fields["id"]), fields["event"], json.loads(fields["data"])
            if line == "":
                fields = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value

    def until(self, condition):
        """Everything up to the first event that fits."""
        seen = []
        while True:
            event = self.next()
            assert event, f"the stream ended after {seen}"
            seen.append(event)
            if condition(event):
                return seen

    def close(self):
        self.response.close()
        self.connection.close()


def tls_client_context(certificate):
    return ssl.create_default_context(cafile=certificate)
