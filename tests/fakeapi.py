"""An api to play operator against: answers as docs/openapi.yaml says, over a unix socket or TCP,
with a queue and a stream of events that the test changes while it runs."""

import contextlib
import http.server
import json
import os
import queue
import socketserver
import ssl
import subprocess
import tempfile
import threading
import urllib.parse


def entry(ident="7K3M2Q", argv=("git", "push"), **more):
    """A pending question as /api/queue has it."""
    return {"id": ident, "request": ident, "jail": "default", "container": "", "command": argv[0],
            "argv": list(argv), "display": " ".join(map(str, argv)), "uid": 54001, "gid": 54001,
            "pid": 77, "cwd": "/work", "exe": "/usr/bin/git", "exe_digest": "ab" * 32,
            "rule": "asked", "reason": "", "notes": [], "asked_at": "2026-11-24T04:10:29.123456Z",
            "expires_at": "2026-11-24T04:20:29.123456Z", "expires_in_ms": 599000, "waiters": 1,
            "needed": 1, "approved_by": [], "approvers": [], "channels": [], "quiet": False,
            "may_decide": True, "why_not": None,
            "grant": {"exact": f"exactly {argv[0]}, by uid 54001", "widened": None, "session": True,
                      "why_not": None}, **more}


def record(seq, event="ended", **more):
    return {"seq": seq, "ts": "2026-11-24T04:10:29.123456Z", "event": event, "jail": "default", **more}


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def get_request(self):
        connection, address = super().get_request()
        self.api.connections.append(connection)
        return connection, address or ("unix", 0)

    def handle_error(self, request, client_address):
        """Clients come and go."""


class UnixServer(Server):
    address_family = socketserver.socket.AF_UNIX

    def server_bind(self):
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "localhost", 0


class FakeApi:
    """`pending` is the queue; `calls` what was asked; `answers` overrides: (method, path) →
    (status, document)."""

    def __init__(self, tcp=False, tls=None):
        self.pending, self.calls, self.answers, self.connections = [], [], {}, []
        self.records, self.grants, self.headers = [], [], []
        self.streams, self.lock = [], threading.Lock()
        self.streaming = True
        self.directory = tempfile.mkdtemp(prefix="clwd-api-", dir="/tmp")
        os.chmod(self.directory, 0o755)
        self.path = os.path.join(self.directory, "api.sock")
        self.tcp, self.tls = tcp, tls
        self.start()

    def start(self):
        if self.tcp:
            self.server = Server(("127.0.0.1", getattr(self, "port", 0)), Handler, bind_and_activate=False)
            self.server.allow_reuse_address = True
            self.server.server_bind()
            self.server.server_activate()
            self.port = self.server.server_address[1]
            self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"
            if self.tls:
                self.url = f"https://localhost:{self.port}"
                self.server.socket = self.tls.wrap_socket(self.server.socket, server_side=True)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
            self.server = UnixServer(self.path, Handler)
            os.chmod(self.path, 0o666)
            self.url = f"unix:{self.path}"
        self.server.api = self
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def stop(self):
        """Hangs up on everybody."""
        self.server.shutdown()
        self.server.server_close()
        with self.lock:
            streams, self.streams = self.streams, []
        for stream in streams:
            stream.put(None)
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(2)
        self.connections.clear()
        self.thread.join(10)

    def send(self, document, raw=None):
        """One event to all streams; its record is kept for those who come back."""
        if document is not None:
            self.records.append(document)
            raw = stream_bytes(document)
        with self.lock:
            for stream in self.streams:
                stream.put(raw)

    def add(self, *entries):
        for one in entries:
            self.pending.append(one)
            self.send(record(len(self.records) + 1, "asked", request=one["id"], argv=one["argv"]))

    def remove(self, ident):
        self.pending = [one for one in self.pending if one["id"] != ident]
        self.send(record(len(self.records) + 1, "decided", request=ident))

    def decisions(self):
        return [(path, body) for method, path, body in self.calls
                if method == "POST" and path.startswith("/api/queue/")]

    def find(self, method, path):
        return [body for m, p, body in self.calls if (m, p) == (method, path)]

    # Answers.

    def answer(self, method, path, query, body):
        if (method, path) in self.answers:
            found = self.answers[(method, path)]
            return found(body) if callable(found) else found
        parts = path.split("/")
        if path == "/api/status":
            return 200, {"version": "0.1.0", "uptime_ms": 5000, "mode": "root", "dry_run": False,
                         "policy": {"path": "/p", "digest": "ab", "rules": 1, "loaded_at": "x", "error": None},
                         "journal": {"path": "/a", "seq": len(self.records), "hash": "cd" * 32,
                                     "health": "ok"},
                         "requests": {"running": 0, "pending": len(self.pending), "total": 9,
                                      "allowed": 1, "denied": 2, "refused": 3, "cancelled": 4},
                         "jails": []}
        if path == "/api/queue":
            return 200, self.page(int(query.get("limit", ["100"])[0]), query.get("after", [None])[0])
        if path == "/api/history":
            limit, before = int(query.get("limit", ["100"])[0]), int(query.get("before", ["0"])[0])
            found = [one for one in reversed(self.records) if not before or one["seq"] < before]
            more = found[limit - 1]["seq"] if len(found) > limit else None
            return 200, {"records": found[:limit], "next": more}
        if path == "/api/grants":
            return 200, {"grants": self.grants}
        if path.startswith("/api/grants/") and method == "DELETE":
            return 200, {"id": parts[3], "revoked": True}
        if path.startswith("/api/queue/") and method == "POST" and len(parts) == 5:
            return self.decide(parts[3], parts[4], body or {})
        return 404, {"error": "there is no such thing", "code": "not_found"}

    def page(self, limit, after):
        ids = [one["id"] for one in self.pending]
        start = ids.index(after) + 1 if after in ids else 0
        shown = self.pending[start:start + limit]
        more = start + limit < len(self.pending)
        return {"pending": shown, "total": len(self.pending), "next": shown[-1]["id"] if more else None}

    def decide(self, ident, verb, body):
        found = [one for one in self.pending if one["id"] == ident]
        if not found:
            return 404, {"error": "no pending request has this id", "code": "not_found"}
        self.remove(ident)
        if verb == "deny":
            return 200, {"id": ident, "decision": "denied", "refused": 1}
        grant = None
        if "for_ms" in body or "session" in body:
            words = found[0]["grant"]["widened" if body.get("widened") else "exact"]
            grant = {"id": "G-ABCDEF", "covers": words, "session": "session" in body,
                     "expires_at": None if "session" in body else "2026-11-24T05:00:00Z"}
        return 200, {"id": ident, "decision": "approved", "needed": 1, "approved_by": ["root (uid 0)"],
                     "ran": found[0]["waiters"], "grant": grant}


def stream_bytes(document):
    return (f"id: {document['seq']}\nevent: {document['event']}\n"
            f"data: {json.dumps(document)}\n\n").encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        """Tests speak for themselves."""

    def handle_any(self):
        api = self.server.api
        split = urllib.parse.urlsplit(self.path)
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        api.headers.append(dict(self.headers))
        if split.path == "/api/events" and (self.command, "/api/events") not in api.answers:
            self.stream(api)
            return
        api.calls.append((self.command, split.path, body))
        status, document = api.answer(self.command, split.path, urllib.parse.parse_qs(split.query), body)
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = do_PATCH = handle_any

    def stream(self, api):
        events, last = queue.Queue(), self.headers.get("Last-Event-ID")
        self.close_connection = True
        with api.lock:
            missed = [one for one in api.records if last and one["seq"] > int(last)]
            api.streams.append(events)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b": hello\n\n" + b"".join(stream_bytes(one) for one in missed))
        while True:
            data = events.get()
            if data is None:
                return
            self.wfile.write(data)
            self.wfile.flush()


def certificate(directory):
    """A certificate for localhost, and what serves with it: (path, SSLContext)."""
    key, cert = os.path.join(directory, "key.pem"), os.path.join(directory, "cert.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    os.chmod(cert, 0o644)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context
