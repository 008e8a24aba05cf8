"""What is asked: one prompt of about 110 tokens, plain and as a stream, as each gateway wants."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

PROMPT = (
    "Hello, since the update on Monday I cannot open the invoices of our three branches any more. "
    "The page shows the list, but every document ends with the message that the session has "
    "expired, although I have signed in a minute before. I have tried two browsers and a second "
    "computer, and a colleague sees the same. We need the documents of October for the accountant "
    "by Thursday afternoon. Please tell me what we can do until this is mended, and whether the "
    "export of all documents as one archive is possible for an account like ours."
)
SYSTEM = "You answer customers of a booking system. Be brief, friendly and exact."

# The kinds of upstream that a run starts, as (first byte in microseconds, pace per event).
UPSTREAMS = {"instant": (0, 0), "slow": (20_000, 0), "paced": (20_000, 5_000)}


def chat_body(model: str, *, stream: bool) -> bytes:
    fields: dict[str, object] = {
        "model": model,
        "messages": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": PROMPT},
        ],
        "temperature": 0.2,
        "max_tokens": 200,
    }
    if stream:
        fields["stream"] = True
    return json.dumps(fields, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Where and how one gateway is asked for one kind of upstream."""

    port: int
    path: str
    model: str
    headers: dict[str, str] = field(default_factory=dict)

    def body(self, *, stream: bool) -> bytes:
        return chat_body(self.model, stream=stream)

    def all_headers(self, body: bytes) -> dict[str, str]:
        return {
            "host": f"127.0.0.1:{self.port}",
            "content-type": "application/json",
            "content-length": str(len(body)),
            **self.headers,
        }

    def raw(self, *, stream: bool) -> bytes:
        """The exact bytes of the request."""
        body = self.body(stream=stream)
        lines = [f"POST {self.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in self.all_headers(body).items()]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def raw_file(self, folder: Path, name: str, *, stream: bool) -> Path:
        path = folder / f"{name}-{'stream' if stream else 'json'}.request"
        path.write_bytes(self.raw(stream=stream))
        return path

    def wrk_script(self, folder: Path, name: str) -> Path:
        """The same JSON request for wrk, and a closing line that a program can read."""
        body = self.body(stream=False)
        # wrk writes these two itself; twice the host is a bad request.
        own = {"content-length", "host"}
        headers = {k: v for k, v in self.all_headers(body).items() if k not in own}
        lines = ['wrk.method = "POST"', f"wrk.path = {json.dumps(self.path)}"]
        lines += [f"wrk.body = [==[{body.decode()}]==]"]
        lines += [f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}" for k, v in headers.items()]
        path = folder / f"{name}.lua"
        path.write_text("\n".join(lines) + "\n" + _WRK_DONE)
        return path


_WRK_DONE = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"errors":%d,"seconds":%.4f,' ..
    '"total_us":{"p50":%.1f,"p90":%.1f,"p99":%.1f}}\\n',
    summary.requests - e.status, e.connect + e.read + e.write + e.status + e.timeout,
    summary.duration / 1e6,
    latency:percentile(50), latency:percentile(90), latency:percentile(99)))
end
"""
