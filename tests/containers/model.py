#!/usr/bin/python3
"""
A scripted model: an HTTP server that speaks as much of four vendors' protocols as coding agents
need, and answers each conversation with the shell commands of a script, one tool call after
another, then with a closing text.

    model.py --port PORT --script FILE [--log FILE]

FILE holds one shell command per line. The protocols: OpenAI's chat completions and responses,
Anthropic's messages, Google's generateContent; streamed or whole, as the agent asks.
"""

import argparse
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SHELL_TOOLS = ("bash", "Bash", "run_shell_command", "shell", "exec_command", "exec")
CLOSING = "All commands have been run."


def arguments_for(schema, command):
    """What the tool's own schema asks for, filled in."""
    properties = schema.get("properties", {})
    arguments = {}
    for name in ("command", "cmd"):
        if name in properties or (name == "command" and not properties):
            is_list = properties.get(name, {}).get("type") == "array"
            arguments[name] = ["/bin/bash", "-c", command] if is_list else command
    for name in schema.get("required", []):
        if name not in arguments:
            kind = properties.get(name, {}).get("type")
            arguments[name] = {"boolean": False, "integer": 60000, "number": 60000}.get(
                kind, "a step of the script")
    return arguments


class Conversation:
    """One request of an agent, whatever the protocol: its shell tool and how far it has come."""

    def __init__(self, script, tools, n_results):
        self.tool = next((tool for tool in tools if tool[0] in SHELL_TOOLS), None)
        self.call = None
        if self.tool and n_results < len(script):
            self.call = (self.tool[0], arguments_for(self.tool[1] or {}, script[n_results]),
                         "call_%d" % n_results)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        if self.server.log:
            print(self.command, self.path, file=self.server.log, flush=True)

    def do_GET(self):
        self.reply({"data": [{"id": "scripted", "object": "model"}], "object": "list", "models": []})

    do_HEAD = do_GET

    def do_POST(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while True:
                size = int(self.rfile.readline(), 16)
                body += self.rfile.read(size)
                self.rfile.readline()
                if size == 0:
                    break
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            asked = json.loads(body or b"{}")
        except ValueError:
            asked = {}
        if self.server.log:
            print(json.dumps(asked)[:200000], file=self.server.log, flush=True)
        path = self.path.split("?")[0]
        if path.endswith("/chat/completions"):
            self.answer_chat(asked)
        elif path.endswith("/responses"):
            self.answer_responses(asked)
        elif path.endswith("/messages"):
            self.answer_messages(asked)
        elif ":generateContent" in path or ":streamGenerateContent" in path:
            self.answer_generate(asked, ":stream" in path)
        else:
            self.reply({"input_tokens": 1, "totalTokens": 1})

    def reply(self, document):
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def stream(self, events):
        """Server-sent events: (name or None, document or text)."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for name, document in events:
            text = document if isinstance(document, str) else json.dumps(document)
            if name:
                self.wfile.write(b"event: %s\n" % name.encode())
            self.wfile.write(b"data: %s\n\n" % text.encode())
        self.wfile.flush()
        self.close_connection = True

    # OpenAI: chat completions
    def answer_chat(self, asked):
        tools = [(t["function"]["name"], t["function"].get("parameters"))
                 for t in asked.get("tools") or [] if t.get("type") == "function"]
        n_results = sum(m.get("role") == "tool" for m in asked.get("messages", []))
        talk = Conversation(self.server.script, tools, n_results)
        message = {"role": "assistant", "content": None if talk.call else CLOSING}
        if talk.call:
            name, arguments, call_id = talk.call
            message["tool_calls"] = [{"index": 0, "id": call_id, "type": "function", "function": {
                "name": name, "arguments": json.dumps(arguments)}}]
        reason = "tool_calls" if talk.call else "stop"
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        base = {"id": "chatcmpl-1", "created": 1, "model": asked.get("model", "scripted")}
        if not asked.get("stream"):
            self.reply({**base, "object": "chat.completion", "usage": usage, "choices": [
                {"index": 0, "message": message, "finish_reason": reason}]})
            return
        chunk = {**base, "object": "chat.completion.chunk"}
        self.stream([
            (None, {**chunk, "choices": [{"index": 0, "delta": message, "finish_reason": None}]}),
            (None, {**chunk, "usage": usage,
                    "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}),
            (None, "[DONE]")])

    # OpenAI: responses
    def answer_responses(self, asked):
        tools = [(t.get("name", ""), t.get("parameters")) for t in asked.get("tools") or []]
        items = asked.get("input") if isinstance(asked.get("input"), list) else []
        n_results = sum(i.get("type") == "function_call_output" for i in items)
        talk = Conversation(self.server.script, tools, n_results)
        if talk.call:
            name, arguments, call_id = talk.call
            item = {"type": "function_call", "id": "fc_1", "call_id": call_id, "name": name,
                    "arguments": json.dumps(arguments), "status": "completed"}
        else:
            item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": CLOSING, "annotations": []}]}
        response = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed",
                    "model": "scripted", "output": [item],
                    "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}}
        if not asked.get("stream"):
            self.reply(response)
            return
        self.stream([
            ("response.created", {"type": "response.created",
                                  "response": {**response, "status": "in_progress", "output": []}}),
            ("response.output_item.added", {"type": "response.output_item.added",
                                            "output_index": 0, "item": item}),
            ("response.output_item.done", {"type": "response.output_item.done",
                                           "output_index": 0, "item": item}),
            ("response.completed", {"type": "response.completed", "response": response})])

    # Anthropic: messages
    def answer_messages(self, asked):
        tools = [(t.get("name", ""), t.get("input_schema")) for t in asked.get("tools") or []]
        n_results = sum(part.get("type") == "tool_result"
                        for m in asked.get("messages", []) if isinstance(m.get("content"), list)
                        for part in m["content"])
        talk = Conversation(self.server.script, tools, n_results)
        message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [],
                   "model": asked.get("model", "scripted"), "stop_sequence": None,
                   "stop_reason": "tool_use" if talk.call else "end_turn",
                   "usage": {"input_tokens": 1, "output_tokens": 1}}
        if talk.call:
            name, arguments, call_id = talk.call
            block = {"type": "tool_use", "id": "toolu_" + call_id, "name": name, "input": arguments}
            start = {**block, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(arguments)}
        else:
            block = {"type": "text", "text": CLOSING}
            start = {"type": "text", "text": ""}
            delta = {"type": "text_delta", "text": CLOSING}
        if not asked.get("stream"):
            self.reply({**message, "content": [block]})
            return
        self.stream([
            ("message_start", {"type": "message_start",
                               "message": {**message, "stop_reason": None}}),
            ("content_block_start", {"type": "content_block_start", "index": 0,
                                     "content_block": start}),
            ("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta}),
            ("content_block_stop", {"type": "content_block_stop", "index": 0}),
            ("message_delta", {"type": "message_delta", "usage": {"output_tokens": 1},
                               "delta": {"stop_reason": message["stop_reason"],
                                         "stop_sequence": None}}),
            ("message_stop", {"type": "message_stop"})])

    # Google: generateContent
    def answer_generate(self, asked, streamed):
        tools = [(f["name"], f.get("parametersJsonSchema") or f.get("parameters"))
                 for t in asked.get("tools") or [] for f in t.get("functionDeclarations", [])]
        n_results = sum("functionResponse" in part for c in asked.get("contents", [])
                        for part in c.get("parts", []))
        talk = Conversation(self.server.script, tools, n_results)
        if talk.call:
            part = {"functionCall": {"name": talk.call[0], "args": talk.call[1]}}
        else:
            part = {"text": CLOSING}
        answer = {"candidates": [{"index": 0, "finishReason": "STOP",
                                  "content": {"role": "model", "parts": [part]}}],
                  "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1,
                                    "totalTokenCount": 2}}
        if streamed:
            self.stream([(None, answer)])
        else:
            self.reply(answer)


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--script", required=True, help="a file of shell commands, one per line")
    parser.add_argument("--log", help="a file for what was asked")
    options = parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    with open(options.script, encoding="utf-8") as file:
        server.script = file.read().splitlines()
    server.log = open(options.log, "a", encoding="utf-8") if options.log else None
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
