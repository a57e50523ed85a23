"""The database: one writer with group commit on SQLite, a pool on PostgreSQL, one interface."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from weakref import WeakSet

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DataError, InternalError, OperationalError
from sqlalchemy.pool import QueuePool
from sqlmodel import SQLModel

from app.core.errors import InvalidInput, StorageUnavailable
from app.store.columns import narrow_on_postgresql
from app.store.walls import EVERYBODY, SETTING, standing_within

T = TypeVar("T")
Work = Callable[[Connection], T]

CUT_OFF = "25P03"  # PostgreSQL: idle_in_transaction_session_timeout
GROUP = 256  # most units of work in one SQLite commit
READERS = 4  # reading threads of SQLite, connections of PostgreSQL
UNSTORABLE = "A text holds a character that cannot be stored, such as U+0000."
SESSION = "-c idle_in_transaction_session_timeout=10000"
# A server that vanished from the network refuses nothing; nobody shall wait for it for ever.
NETWORK: dict[str, Any] = {
    "connect_timeout": 5,  # seconds
    "tcp_user_timeout": 5000,  # milliseconds that what we sent may stay unacknowledged
    "keepalives_idle": 5,  # seconds of silence after which it is asked whether it lives
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
SILENT = "silent"  # says why a wait was cancelled
BUSY_MILLISECONDS = 10_000  # how long SQLite waits for another process's write


_STAND = text(f"SELECT set_config('{SETTING}', :tenants, true)")  # until the transaction ends


def normalize(url: str) -> str:
    """Name the driver that we ship: ``postgresql://`` becomes psycopg 3, ``sqlite://`` stays."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


@dataclass(slots=True)
class _Unit:
    work: Callable[[Connection], Any]
    future: Future[Any]


@contextmanager
def _in_our_words() -> Iterator[None]:
    """Tell the database's errors as ours; what is a bug stays what it is."""
    try:
        yield
    except DataError as error:
        raise InvalidInput(UNSTORABLE) from error
    except OperationalError as error:
        raise StorageUnavailable from error
    except InternalError as error:  # a process that stood still for long was cut off meanwhile
        if getattr(error.orig, "sqlstate", None) != CUT_OFF:
            raise
        raise StorageUnavailable from error


class Database:
    """Runs synchronous units of work; a unit is repeatable, because a group may be run again.

    ``write`` returns after the commit is durable. On SQLite all writes go through one thread that
    commits them in groups; a unit that raises is rolled back alone.
    """

    def __init__(self, url: str) -> None:
        self.url = normalize(url)
        self.dialect = "sqlite" if self.url.startswith("sqlite") else "postgresql"
        self._lines: WeakSet[Any] = WeakSet()
        self._engine = self._create()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="read")
        self._writers: ThreadPoolExecutor | None = None
        self._queue: queue.SimpleQueue[_Unit | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self.away = False  # silent, as the pulse found; nothing is asked of it until it is back
        self.heard_at = 0.0  # of the monotonic clock: when it last did something for us
        self._waiting: set[asyncio.Future[Any]] = set()
        if self.dialect == "postgresql":
            self._writers = ThreadPoolExecutor(READERS * 2, thread_name_prefix="write")

    def _create(self) -> Engine:
        if self.dialect == "postgresql":
            narrow_on_postgresql(SQLModel.metadata)
            pooled = create_engine(
                self.url,
                pool_size=READERS * 3,
                max_overflow=4,
                pool_pre_ping=True,
                connect_args={"options": f"{SESSION} -c {SETTING}={EVERYBODY}", **NETWORK},
            )
            event.listen(pooled, "connect", lambda line, _: self._lines.add(line))
            return pooled
        engine = create_engine(
            self.url,
            poolclass=QueuePool,
            pool_size=READERS + 1,
            max_overflow=2,
            connect_args={"check_same_thread": False, "timeout": BUSY_MILLISECONDS / 1000},
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine, for migrations and tests."""
        return self._engine

    async def read(self, work: Work[T]) -> T:
        """Run a unit that only reads, on a consistent snapshot.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        self._must_be_there()
        try:
            reading = self._readers.submit(self.read_now, self._walled(work))
        except RuntimeError as error:  # closed: the process is on its way out
            raise StorageUnavailable from error
        return await self._answered(reading)

    def read_now(self, work: Work[T]) -> T:
        """Run a reading unit on this thread."""
        with (
            _in_our_words(),
            self._engine.connect().execution_options(reading=True) as connection,
        ):
            found = work(connection)
        self.heard_at = time.monotonic()
        return found

    async def write(self, work: Work[T]) -> T:
        """Run a unit in a transaction and return after its commit is durable.

        Raises:
            StorageUnavailable: the database cannot be reached; nothing was stored.
        """
        return await self._answered(self._submit(self._walled(work)))

    def write_now(self, work: Work[T]) -> T:
        """Run a writing unit from synchronous code."""
        return self._submit(work).result()

    async def _answered(self, future: Future[T]) -> T:
        """Wait for a unit, unless the database falls silent meanwhile: its outcome is unknown."""
        waiting = asyncio.wrap_future(future)
        self._waiting.add(waiting)
        try:
            return await waiting
        except asyncio.CancelledError as error:
            if error.args == (SILENT,):
                raise StorageUnavailable from error
            raise
        finally:
            self._waiting.discard(waiting)

    def _must_be_there(self) -> None:
        if self.away:
            raise StorageUnavailable

    def went_away(self) -> list[Any]:
        """Let nobody wait any longer, and ask nothing more; on the thread of the event loop.

        Returns:
            The driver's connections, to be shut under the threads that still wait on them.
        """
        self.away = True
        for waiting in list(self._waiting):
            waiting.cancel(SILENT)
        return list(self._lines)

    def came_back(self) -> None:
        """Ask again."""
        self.away = False

    def _walled(self, work: Work[T]) -> Work[T]:
        """The unit, behind the walls in which the task stands that asks for it."""
        tenants = standing_within()
        if tenants == EVERYBODY or self.dialect != "postgresql":
            return work

        def walled(connection: Connection) -> T:
            connection.execute(_STAND, {"tenants": tenants})
            return work(connection)

        return walled

    def _submit(self, work: Work[T]) -> Future[T]:
        self._must_be_there()
        if self._writers is not None:
            try:
                return self._writers.submit(self._transact, work)
            except RuntimeError as error:  # closed, as above
                raise StorageUnavailable from error
        if self._thread is None:
            self._start()
        unit = _Unit(work, Future())
        self._queue.put(unit)
        return unit.future

    def _transact(self, work: Work[T]) -> T:
        with _in_our_words(), self._engine.begin() as connection:
            done = work(connection)
        self.heard_at = time.monotonic()
        return done

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            unit = self._queue.get()
            if unit is None:
                return
            units, closing = [unit], False
            while len(units) < GROUP and not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    closing = True
                    break
                units.append(following)
            self._commit(units)
            if closing:
                return

    def _commit(self, units: list[_Unit]) -> None:
        # Whoever waits may have gone; a unit that is running can no longer be taken back.
        units = [unit for unit in units if unit.future.set_running_or_notify_cancel()]
        if len(units) > 1:
            try:
                with self._engine.begin() as connection:
                    results = [unit.work(connection) for unit in units]
            except Exception:  # noqa: BLE001 - one bad unit must not fail its neighbours
                results = None
            if results is not None:
                for unit, result in zip(units, results, strict=True):
                    unit.future.set_result(result)
                return
        for unit in units:
            try:
                unit.future.set_result(self._transact(unit.work))
            except BaseException as error:  # noqa: BLE001 - handed to whoever waits
                unit.future.set_exception(error)

    def close(self) -> None:
        """Finish what is queued and let go of the connections."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        if self._writers is not None:
            self._writers.shutdown()
        self._readers.shutdown()
        self._engine.dispose()


class Fenced(Database):
    """The same database, in which every write first sees that it still may; see ``store.leases``.

    ``check`` runs in the transaction of the write, which it fails by raising.
    """

    def __init__(self, inner: Database, check: Callable[[Connection], None]) -> None:  # no own pool
        self.url = inner.url
        self.dialect = inner.dialect
        self._inner = inner
        self._check = check

    @property
    def engine(self) -> Engine:
        """The engine of the database behind."""
        return self._inner.engine

    async def read(self, work: Work[T]) -> T:
        """Run a unit that only reads; see ``Database.read``."""
        return await self._inner.read(work)

    def read_now(self, work: Work[T]) -> T:
        """Run a reading unit on this thread."""
        return self._inner.read_now(work)

    async def write(self, work: Work[T]) -> T:
        """Run a unit if the check lets it; see ``Database.write``.

        Raises:
            LeaseLost: another replica does this work now; nothing was stored.
            StorageUnavailable: the database cannot be reached; nothing was stored.
        """
        return await self._inner.write(partial(self._checked, work))

    def write_now(self, work: Work[T]) -> T:
        """Run a unit from synchronous code if the check lets it."""
        return self._inner.write_now(partial(self._checked, work))

    def _checked(self, work: Work[T], c: Connection) -> T:
        self._check(c)
        return work(c)

    def close(self) -> None:
        """Do nothing; the database behind belongs to whoever opened it."""


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"busy_timeout={BUSY_MILLISECONDS}",
        "foreign_keys=ON",
        "temp_store=MEMORY",
        "cache_size=-16000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A deferred BEGIN that reads and then writes collapses under concurrency.
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
