"""An api that says whatever a test wants: for what a real warden cannot be brought to say.

It serves the real files of web/ with the real policy for content, and one stricter: Trusted Types.
"""

import json
import mimetypes
import os
import queue
import threading
from urllib.parse import parse_qs
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WEB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "web")

CONTENT_POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                  "img-src 'self' data:; base-uri 'none'; form-action 'none'; "
                  "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")

mimetypes.add_type("text/javascript", ".js")


def question(number=1, **more):
    """A question as GET /api/queue has it."""
    return {"id": f"AAAA{number:02d}", "request": f"R{number}", "jail": "my-agent", "container": "",
            "command": "git", "argv": ["git", "push", "origin", "main"],
            "display": "git push origin main", "uid": 1000, "gid": 1000, "pid": 4711,
            "cwd": "/work/project", "exe": "/usr/bin/git", "exe_digest": "5c" * 32,
            "rule": "git-push", "reason": "pushes need a human", "notes": [],
            "asked_at": "2026-11-24T09:00:00Z", "expires_at": "2026-11-24T09:10:00Z",
            "expires_in_ms": 600000, "waiters": 1, "needed": 1, "approved_by": [], "approvers": [],
            "channels": [], "quiet": False, "may_decide": True, "why_not": None,
            "grant": {"exact": "git push origin main in /work/project, by uid 1000 of jail my-agent",
                      "widened": None, "session": True, "why_not": None}, **more}


class FakeWarden:
    def __init__(self, role="approver"):
        self.session = {"name": "alice", "role": role, "via": "dashboard", "jails": None,
                        "csrf": "the-csrf-token"}
        self.questions, self.records, self.grants = [], [], []
        self.calls = []  # (method, path, body, csrf)
        self.answers = {}  # (method, path) → (status, object)
        self.forgetful = False  # about the question a page begins after
        self.broken = None  # a status for everything
        self.streams = []
        self.lock = threading.Lock()
        self.jails = [{"name": "my-agent", "paused": False, "stopped": None, "serving": True, "running": 1,
                       "pending": 1}]
        self.status = {"version": "0.1.0", "uptime_ms": 4000000, "mode": "root", "dry_run": False,
                       "policy": {"path": "/etc/clawrden/policy.yaml", "digest": "ab" * 32,
                                  "rules": 42, "loaded_at": "2026-11-24T08:00:00Z", "error": None},
                       "journal": {"path": "/var/log/clawrden/audit.log", "seq": 4711,
                                   "hash": "cd" * 32, "health": "ok"},
                       "requests": {"running": 1, "pending": 1, "total": 40, "allowed": 35,
                                    "denied": 3}}
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):  # pylint: disable=arguments-differ
                pass

            def do_GET(self):
                fake.handle(self)

            do_POST = do_DELETE = do_GET

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}/"

    def stop(self):
        self.drop_streams()
        self.server.shutdown()
        self.server.server_close()

    def drop_streams(self):
        with self.lock:
            for stream in self.streams:
                stream.put(None)
            self.streams.clear()

    def record(self, event, **more):
        """Something happens: kept, and told to every stream."""
        with self.lock:
            record = {"seq": len(self.records) + 1, "ts": "2026-11-24T09:00:01.000000Z",
                      "event": event, **more}
            self.records.append(record)
            for stream in self.streams:
                stream.put(record)
        return record

    def ask(self, *questions):
        for entry in questions:
            self.questions.append(entry)
            self.record("asked", approval=entry["id"], request=entry["request"], jail=entry["jail"],
                        argv=entry["argv"], rule=entry["rule"], reason=entry["reason"])

    def decided(self, method="POST"):
        """The decisions that were sent, as (path, body)."""
        return [(path, body) for verb, path, body, _ in self.calls
                if verb == method and path.startswith("/api/queue/")]

    # The server's side.

    def handle(self, handler):
        path = handler.path.partition("?")[0]
        size = int(handler.headers.get("Content-Length") or 0)
        body = json.loads(handler.rfile.read(size)) if size else None
        if path.startswith("/api/"):
            self.calls.append((handler.command, path, body, handler.headers.get("X-Clawrden-CSRF")))
        if path == "/api/events" and not self.broken:
            self.stream(handler)
        elif path.startswith("/api/"):
            status, answer = self.answer(handler.command, path, body,
                                         parse_qs(handler.path.partition("?")[2]))
            self.send(handler, status, json.dumps(answer).encode(), "application/json")
        else:
            self.asset(handler, "index.html" if path == "/" else path[1:])

    @staticmethod
    def send(handler, status, data, kind):
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data)))
        handler.send_header("Content-Security-Policy", CONTENT_POLICY)
        handler.send_header("X-Content-Type-Options", "nosniff")
        handler.end_headers()
        handler.wfile.write(data)

    def asset(self, handler, name):
        path = os.path.join(WEB, name)
        if "/" in name or not os.path.isfile(path):
            self.send(handler, 404, b"{}", "application/json")
            return
        with open(path, "rb") as file:
            self.send(handler, 200, file.read(), f"{mimetypes.guess_type(name)[0]}; charset=utf-8")

    def stream(self, handler):
        mine = queue.Queue()
        with self.lock:
            self.streams.append(mine)
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        handler.wfile.write(b": hello\n\n")
        handler.wfile.flush()
        while True:
            record = mine.get()
            if record is None:
                return
            try:
                handler.wfile.write(f"id: {record['seq']}\nevent: {record['event']}\n"
                                    f"data: {json.dumps(record)}\n\n".encode())
                handler.wfile.flush()
            except OSError:
                return

    def page_of_questions(self, query):
        limit, after = int(query["limit"][0]), query.get("after", [""])[0]
        names = [entry["id"] for entry in self.questions]
        if after and (after not in names or self.forgetful):
            return 404, {"error": "begin again", "code": "not_found"}
        begin = names.index(after) + 1 if after else 0
        page = self.questions[begin:begin + limit]
        more = begin + limit < len(self.questions)
        return 200, {"pending": page, "total": len(names), "next": page[-1]["id"] if more else None}

    def answer(self, method, path, body, query):
        if self.broken:
            return self.broken, {"error": "the warden is away", "code": "not_ready"}
        if (method, path) in self.answers:
            return self.answers[method, path]
        if (method, path) == ("GET", "/api/queue"):
            return self.page_of_questions(query)
        if method == "GET":
            return 200, {"/api/session": self.session,
                         "/api/grants": {"grants": self.grants},
                         "/api/history": {"records": self.records[:-201:-1], "next": None},
                         "/api/status": {**self.status, "jails": self.jails}}[path]
        parts = path.split("/")
        if parts[2] == "queue":
            return self.decide(parts[3], parts[4], body or {})
        if parts[2] == "grants":
            self.grants = [grant for grant in self.grants if grant["id"] != parts[3]]
            return 200, {"id": parts[3], "revoked": True}
        if parts[2] == "login":
            return 200, self.session
        return 200, {"state": "killed", "jails": [], "killed": 2, "cancelled": 1, "frozen": 0, "resumed": 0,
                     "until": None, "alive": 0, "saved": True}

    def decide(self, name, verb, body):
        entry = next((entry for entry in self.questions if entry["id"] == name), None)
        if not entry:
            return 409, {"error": "it has been decided already", "code": "over"}
        if entry["needed"] > len(entry["approved_by"]) + 1 and verb == "approve":
            entry["approved_by"] = [*entry["approved_by"], "alice"]
            entry.update(may_decide=False, why_not="you have approved this already")
            return 200, {"id": name, "decision": "counted", "needed": entry["needed"],
                         "approved_by": entry["approved_by"], "ran": 0, "grant": None}
        self.questions.remove(entry)
        self.record("decided", approval=name, request=entry["request"], jail=entry["jail"],
                    argv=entry["argv"], approver="alice", via="dashboard",
                    verdict="approved" if verb == "approve" else "deny", reason=body.get("reason"))
        if verb == "deny":
            return 200, {"id": name, "decision": "denied", "refused": 1}
        grant = None
        if "for_ms" in body or "session" in body:
            grant = {"id": "G-ABCDEF", "covers": entry["grant"]["widened" if body.get("widened") else "exact"],
                     "expires_at": None, "session": bool(body.get("session"))}
        return 200, {"id": name, "decision": "approved", "needed": 1, "approved_by": ["alice"],
                     "ran": entry["waiters"], "grant": grant}
