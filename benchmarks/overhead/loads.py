"""Runs the load generators and reads what they counted. The first of these that is there is used:
wrk for plain requests, our C client for streams and pairs, and our Python client for both."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.overhead import machine
from benchmarks.overhead.machine import Cores
from benchmarks.overhead.programs import HERE, Missing, compiled, debian, say
from benchmarks.overhead.requests import Call

NO_LIMIT = 100_000_000


@dataclass(slots=True, kw_only=True)
class Loads:
    folder: Path
    cores: Cores
    wrk: Path | None = None
    client: list[str] | None = None

    @classmethod
    def find(cls, *, folder: Path, cores: Cores) -> Loads:
        loads = cls(folder=folder, cores=cores)
        try:
            loads.client = [str(compiled("load"))]
        except Missing as problem:
            say(f"Streams are counted by the Python client: {problem}")
            loads.client = [sys.executable, str(HERE / "client.py")]
        try:
            loads.wrk = debian("wrk", "wrk")
        except Missing as problem:
            say(f"Requests are counted by our own client: {problem}")
        return loads

    @property
    def names(self) -> dict[str, str]:
        own = "own client in Python" if self._is_python else "own client in C"
        return {"requests": "wrk" if self.wrk else own, "streams and pairs": own}

    @property
    def _is_python(self) -> bool:
        return self.client is not None and self.client[0] == sys.executable

    def requests(self, call: Call, *, connections: int, seconds: float) -> dict[str, Any]:
        """Plain requests in a closed loop."""
        if self.wrk is None:
            return self.loop(call, stream=False, connections=connections, seconds=seconds)
        script = call.wrk_script(self.folder, "request")
        words = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "20s"]
        url = f"http://127.0.0.1:{call.port}{call.path}"
        text = self._run([str(self.wrk), *words, "-s", str(script), url], seconds + 60)
        return json.loads(text.rpartition("RESULT ")[2])

    def loop(
        self,
        call: Call,
        *,
        stream: bool,
        connections: int,
        seconds: float,
        limit: int = NO_LIMIT,
    ) -> dict[str, Any]:
        """Requests or streams in a closed loop, read to their end and checked."""
        path = call.raw_file(self.folder, "loop", stream=stream)
        words = ["loop", str(call.port), str(path), str(connections), str(seconds), str(limit)]
        return json.loads(self._run([*(self.client or []), *words], seconds + 60))

    def paired(self, call: Call, base: Call, *, stream: bool, pairs: int) -> dict[str, Any]:
        """Base and target in turn on one connection each."""
        path = call.raw_file(self.folder, "target", stream=stream)
        other = base.raw_file(self.folder, "base", stream=stream)
        words = ["paired", str(call.port), str(path), str(base.port), str(other), str(pairs)]
        return json.loads(self._run([*(self.client or []), *words], 600))

    def _run(self, command: list[str], timeout_s: float) -> str:
        with machine.on(self.cores.rest):
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=timeout_s, check=False
            )
        if done.returncode != 0:
            raise Missing(f"{Path(command[0]).name}: {done.stderr.strip()[-200:]}")
        return done.stdout
