"""A real PostgreSQL for the tests, started once a session and removed afterwards, and empty databases on both engines.

``STARTTALLY_TEST_POSTGRESQL`` may name a server to use instead (a URL whose user may create databases).
``STARTTALLY_TEST_CITUS_URL`` names one with Citus, whose user is a superuser: every test of a database then runs there, too, on
distributed tables (docs/scale.md). Nothing installs it for the tests, so without it this is the one skip that CI allows.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from ingest.database import distribution, engines, models
from ingest.store.upkeep import upgrades
from tests.support import NEEDS_CITUS, eventually, free_port


class PostgreSQL:
    """A cluster of our own on a loopback port. ``url`` is that of its maintenance database."""

    def __init__(self) -> None:
        self._bin = _binaries()
        self._folder = Path(tempfile.mkdtemp(prefix="starttally-pg-"))
        self._data = self._folder / "data"
        self.port = free_port()
        self.url = f"postgresql://starttally@127.0.0.1:{self.port}/postgres"
        # initdb refuses to run as root: Debian's package brings the account "postgres".
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self._folder, self._user)
        self._run("initdb", "-U", "starttally", "--auth=trust", "--no-sync", "-E", "UTF8", "-D", str(self._data))
        self.start()

    def start(self) -> None:
        """Start the server, or start it again."""
        options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories='' -c fsync=off"
        self._run("pg_ctl", "-w", "-D", str(self._data), "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """Stop the server at once, as an operator in a hurry does."""
        self._run("pg_ctl", "-w", "-m", "immediate", "-D", str(self._data), "stop")

    def remove(self) -> None:
        """Stop it and delete everything."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def folder(self) -> Path:
        """A folder that the server can enter."""
        return self._folder

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        return int((self._data / "postmaster.pid").read_text().splitlines()[0])

    def freeze(self) -> None:
        """SIGSTOP the whole server: there, but dead to the world."""
        for pid in self._pids():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        for pid in self._pids():
            os.kill(pid, signal.SIGCONT)

    def _pids(self) -> list[int]:
        children = subprocess.run(["pgrep", "-P", str(self.pid)], capture_output=True, text=True, check=False)
        return [self.pid, *map(int, children.stdout.split())]

    def new_database(self, folder: Path | None = None) -> str:
        """The URL of an empty database of its own, whose files lie in ``folder`` if given."""
        if folder is None:
            return create_database(self.url)
        if self._user:
            shutil.chown(folder, self._user)
        return create_database(self.url, folder)

    def _run(self, program: str, *arguments: str) -> None:
        account = pwd.getpwnam(self._user) if self._user else None
        subprocess.run(
            [str(self._bin / program), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )


def _binaries() -> Path:
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if programs:
        return programs[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        pytest.skip("needs PostgreSQL's initdb (Debian package postgresql)")
    return Path(on_path).resolve().parent


def create_database(server_url: str, folder: Path | None = None, template: str = "template1") -> str:
    """Create a database with a random name on a server, as a copy of another, with its files in ``folder`` if given.

    Return its URL.
    """
    name = f"test_{secrets.token_hex(6)}"
    place = ""
    engine = engines.open_engine(server_url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if folder is not None:
            connection.execute(sa.text(f"CREATE TABLESPACE {name} LOCATION '{folder}'"))
            place = f" TABLESPACE {name}"
        connection.execute(sa.text(f'CREATE DATABASE "{name}" TEMPLATE "{template}"{place}'))
    engine.dispose()
    return sa.make_url(server_url).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """URL of a PostgreSQL server on which databases may be created."""
    given = os.environ.get("STARTTALLY_TEST_POSTGRESQL")
    if given:
        yield given
        return
    server = PostgreSQL()
    yield server.url
    server.remove()


@pytest.fixture
def own_postgresql() -> Iterator[PostgreSQL]:
    """A server that the test may stop, freeze and start again."""
    server = PostgreSQL()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database with its tables. Copying it is quicker than to migrate a new one for each test."""
    path = tmp_path_factory.mktemp("migrated") / "starttally.db"
    upgrades.migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_template(postgresql_server: str) -> str:
    """The same on PostgreSQL: the name of a database."""
    url = create_database(postgresql_server)
    upgrades.migrate(url)
    return str(sa.make_url(url).database)


CITUS_URL = os.environ.get("STARTTALLY_TEST_CITUS_URL", "")
ENGINES = ["sqlite", "postgresql", *(["citus"] if CITUS_URL else [])]


def create_citus_database() -> str:
    """Create an empty database with the extension Citus on its server, whose shards all lie in this very database.

    Return its URL. Few shards: each costs every test some milliseconds.
    """
    url = create_database(CITUS_URL)
    name = sa.make_url(url).database
    engine = engines.open_engine(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("CREATE EXTENSION citus"))
        connection.execute(sa.text(f'ALTER DATABASE "{name}" SET citus.shard_count TO 4'))
        here = sa.text("'localhost', inet_server_port()")
        connection.execute(sa.text(f"SELECT citus_set_coordinator_host({here})"))
        connection.execute(sa.text(f"SELECT citus_set_node_property({here}, 'shouldhaveshards', true)"))
    engine.dispose()
    return url


def drop_citus_database(url: str) -> None:
    """Remove a database with Citus, whose maintenance takes one of the server's few background workers."""
    engine = engines.open_engine(CITUS_URL)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f'DROP DATABASE IF EXISTS "{sa.make_url(url).database}" WITH (FORCE)'))
    engine.dispose()


def create_distributed_database() -> str:
    """Create an empty database with its tables, distributed. Return its URL."""
    url = create_citus_database()
    upgrades.migrate(url)
    distribution.distribute(url)
    return url


class Spare:
    """Databases on PostgreSQL that a test has left as it found them, once their rows are gone: a copy for each test costs a quarter
    of a second and eight megabytes of disk.
    """

    _SCHEMA = sa.text(
        "SELECT (SELECT string_agg(table_name || column_name || data_type, ',' ORDER BY table_name, ordinal_position)"
        " FROM information_schema.columns WHERE table_schema = 'public'),"
        " (SELECT string_agg(relname::text || relkind::text || coalesce(relacl::text, ''), ',' ORDER BY relname)"
        " FROM pg_class WHERE relnamespace = 'public'::regnamespace),"
        " (SELECT string_agg(setconfig::text, ',') FROM pg_db_role_setting"
        "  WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))),"
        " (SELECT version_num FROM alembic_version)"
    )

    def __init__(self, create: Callable[[], str]) -> None:
        self._create = create
        self._urls: list[str] = []
        self._schema: object = None

    def take(self) -> str:
        """An empty database with its tables."""
        if self._urls:
            return self._urls.pop()
        url = self._create()
        if self._schema is None:
            self._schema = self._look(url, empty=False)
        return url

    def give_back(self, url: str) -> None:
        """Keep it for another test, if it is what it was but for its rows, and nobody holds on to it."""
        with contextlib.suppress(sa.exc.DBAPIError):
            if self._look(url, empty=True) == self._schema:
                self._urls.append(url)

    def _look(self, url: str, *, empty: bool) -> object:
        engine = sa.create_engine(
            sa.make_url(url).set(drivername="postgresql+psycopg"), connect_args={"options": "-c lock_timeout=2000"}
        )
        try:
            with engine.begin() as connection:
                schema = tuple(connection.execute(self._SCHEMA).one())
                if empty:
                    tables = ", ".join(table.name for table in models.metadata.sorted_tables)
                    connection.execute(sa.text(f"TRUNCATE {tables}"))
            return schema
        finally:
            engine.dispose()


@pytest.fixture(scope="session")
def spare_databases(postgresql_server: str, migrated_template: str) -> Spare:
    """Those of this session."""
    return Spare(lambda: create_database(postgresql_server, template=migrated_template))


@pytest.fixture(scope="session")
def spare_distributed_databases() -> Iterator[Spare]:
    """The same on Citus."""
    created: list[str] = []

    def create() -> str:
        created.append(create_distributed_database())
        return created[-1]

    yield Spare(create)
    for url in created:
        drop_citus_database(url)


@pytest.fixture
def citus_url() -> Iterator[str]:
    """An empty database with the extension Citus and no tables."""
    if not CITUS_URL:
        pytest.skip(NEEDS_CITUS)
    url = create_citus_database()
    yield url
    drop_citus_database(url)


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database, once on each engine; without tables, unless the test asks for ``engine`` as well."""
    with_tables = "engine" in request.fixturenames
    if request.param == "sqlite":
        if with_tables:
            shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "starttally.db")
        yield f"sqlite:///{tmp_path}/starttally.db"
    elif with_tables:
        name = "spare_databases" if request.param == "postgresql" else "spare_distributed_databases"
        spare: Spare = request.getfixturevalue(name)
        url = spare.take()
        yield url
        spare.give_back(url)
    elif request.param == "citus":
        yield request.getfixturevalue("citus_url")
    else:
        yield create_database(request.getfixturevalue("postgresql_server"))


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """An empty, migrated database, once on each engine."""
    opened = engines.open_engine(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def sqlite_engine(tmp_path: Path, migrated_file: Path) -> Iterator[sa.Engine]:
    """An empty, migrated SQLite database, for what does not depend on the engine."""
    shutil.copy(migrated_file, tmp_path / "starttally.db")
    opened = engines.open_engine(f"sqlite:///{tmp_path}/starttally.db")
    yield opened
    opened.dispose()


def wait_until_ready(url: str) -> None:
    """Block until a server answers."""

    def answers() -> bool:
        try:
            engine = engines.open_engine(url)
            with engine.connect():
                return True
        except sa.exc.OperationalError:
            return False
        finally:
            engine.dispose()

    eventually(answers)
