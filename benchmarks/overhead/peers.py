"""The peers: each in an environment of its own, authentication on, logging as it comes."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.overhead.machine import Cores
from benchmarks.overhead.programs import HERE, Missing, cache_folder, debian, run_quietly, say
from benchmarks.overhead.requests import Call
from benchmarks.overhead.server import Server, free_port

LITELLM, PORTKEY = "1.80.11", "1.15.2"
_KEY = "sk-benchmark-0123456789abcdef"
_BEARER = {"authorization": f"Bearer {_KEY}"}
_PATH = "/v1/chat/completions"


@dataclass(slots=True, kw_only=True)
class Target:
    """A gateway that runs: how to call it for each kind of upstream, and its process."""

    name: str
    title: str
    calls: dict[str, Call]
    pid: int | None = None
    stop: Callable[[], None] = lambda: None
    command: list[str] = field(default_factory=list)
    note: str = ""


def direct(ports: dict[str, int]) -> Target:
    """No gateway at all: what the others are compared with."""
    calls = {kind: Call(port=port, path=_PATH, model="fake-model") for kind, port in ports.items()}
    return Target(name="direct", title="no gateway", calls=calls)


_NGINX = """
worker_processes 1;
daemon off;
user {user};
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  keepalive_requests 10000000;
  tcp_nodelay on;
  map $http_authorization $known {{ default 0; "Bearer {key}" 1; }}
  {upstreams}
  server {{
    listen 127.0.0.1:{port};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_buffering off;
    if ($known = 0) {{ return 401; }}
    {locations}
  }}
}}
"""


def nginx(ports: dict[str, int], *, folder: Path, cores: Cores) -> Target:
    """nginx as a reverse proxy that checks one key: what a gateway can cost at the least."""
    program, port = debian("nginx", "nginx-light"), free_port()
    upstreams = "\n  ".join(
        f"upstream {kind} {{ server 127.0.0.1:{p}; keepalive 512; keepalive_requests 10000000; }}"
        for kind, p in ports.items()
    )
    locations = "\n    ".join(
        f"location /{kind}/ {{ proxy_pass http://{kind}/; }}" for kind in ports
    )
    text = _NGINX.format(
        folder=folder, key=_KEY, port=port, upstreams=upstreams, locations=locations,
        user="root" if os.geteuid() == 0 else os.environ.get("USER", "nobody"),
    )  # fmt: skip
    config = folder / "nginx.conf"
    config.write_text(text)
    server = Server(
        name="nginx",
        command=[str(program), "-p", str(folder), "-c", str(config)],
        log=folder / "nginx.log",
        cores=[cores.gateway],
    ).start()
    server.wait_until(port, timeout_s=20)
    calls = {
        kind: Call(port=port, path=f"/{kind}{_PATH}", model="fake-model", headers=_BEARER)
        for kind in ports
    }
    return Target(
        name="nginx", title="nginx, proxy_pass", calls=calls, pid=server.pid, stop=server.stop
    )


def _litellm_program() -> Path:
    lock = HERE / "locks" / "litellm.lock"
    mark = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    folder = cache_folder() / f"litellm-{LITELLM}-{mark}"
    program = folder / "bin" / "litellm"
    if (folder / "complete").exists():
        return program
    say(f"Installing LiteLLM {LITELLM} into its own environment ...")
    shutil.rmtree(folder, ignore_errors=True)
    run_quietly([sys.executable, "-m", "venv", str(folder)])
    run_quietly(
        [
            *(str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--no-deps"),
            *("--disable-pip-version-check", "--require-hashes", "-r", str(lock)),
        ]
    )
    (folder / "complete").touch()
    return program


def litellm(ports: dict[str, int], *, folder: Path, cores: Cores) -> Target:
    program, port = _litellm_program(), free_port()
    lines = ["model_list:"]
    for kind, upstream in ports.items():
        lines += [
            f"  - model_name: bench-{kind}",
            "    litellm_params:",
            "      model: openai/fake-model",
            f"      api_base: http://127.0.0.1:{upstream}/v1",
            "      api_key: sk-fake",
        ]
    lines += ["general_settings:", f"  master_key: {_KEY}"]
    config = folder / "litellm.yaml"
    config.write_text("\n".join(lines) + "\n")
    server = Server(
        name="litellm",
        command=[
            *(str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)),
            *("--num_workers", "1"),
        ],
        log=folder / "litellm.log",
        cores=[cores.gateway],
        env={
            # It would ask the network for a price list and report its own start.
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_TELEMETRY": "False",
            "NO_PROXY": "127.0.0.1",
        },
        cwd=folder,
    ).start()
    server.wait_until(port, "/health/liveliness", timeout_s=180)
    calls = {
        kind: Call(port=port, path=_PATH, model=f"bench-{kind}", headers=_BEARER) for kind in ports
    }
    return Target(
        name="litellm", title=f"LiteLLM {LITELLM}", calls=calls, pid=server.pid, stop=server.stop
    )


# On Node 20 and later every stream of this release ends with status 500, because it writes to
# headers that belong to its own request. Without this line there were nothing to compare.
_PORTKEY_BROKEN = ",this.updateHeaders(i,n.cacheStatus,o),{response:i"
_PORTKEY_MENDED = (
    ",this.context.isStreaming&&(i=new Response(i.body,i))"
    ",this.updateHeaders(i,n.cacheStatus,o),{response:i"
)


def _portkey_program() -> Path:
    lock = HERE / "locks" / "portkey"
    mark = hashlib.sha256((lock / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = cache_folder() / f"portkey-{PORTKEY}-{mark}"
    program = folder / "node_modules/@portkey-ai/gateway/build/start-server.js"
    if (folder / "complete").exists():
        return program
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise Missing("node and npm are not installed")
    say(f"Installing the Portkey gateway {PORTKEY} into its own folder ...")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(lock, folder)
    run_quietly([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder)
    text = program.read_text()
    if text.count(_PORTKEY_BROKEN) == 1:
        program.write_text(text.replace(_PORTKEY_BROKEN, _PORTKEY_MENDED))
    (folder / "complete").touch()
    return program


def portkey(ports: dict[str, int], *, folder: Path, cores: Cores) -> Target:
    program, port = _portkey_program(), free_port()
    node = shutil.which("node")
    if node is None:
        raise Missing("node is not installed")
    local = program.parents[4] / "local.mjs"
    server = Server(
        name="portkey",
        command=[node, "--import", str(local), str(program), "--headless", f"--port={port}"],
        log=folder / "portkey.log",
        cores=[cores.gateway],
        env={"NODE_ENV": "production"},
        cwd=folder,
    ).start()
    server.wait_until(port, timeout_s=60)
    calls = {
        kind: Call(
            port=port,
            path=_PATH,
            model="fake-model",
            headers={
                **_BEARER,
                "x-portkey-provider": "openai",
                "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1",
            },
        )
        for kind, upstream in ports.items()
    }
    return Target(
        name="portkey",
        title=f"Portkey gateway {PORTKEY}",
        calls=calls,
        pid=server.pid,
        stop=server.stop,
        note="has no keys of its own and passes the caller's on; streams work by a one-line patch",
    )


PEERS = {"nginx": nginx, "litellm": litellm, "portkey": portkey}
