"""Several blocking jobs at once, without ever waiting for a free thread.

The caller works through its own jobs; spare threads join in when there are any. A full pool makes a call slower, never
stuck, and a caller whose jobs hang takes nothing that another needs in order to get on.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Fanout:
    """A bounded set of spare threads shared by all callers. Lives as long as the process."""

    def __init__(self, threads: int = 64) -> None:
        self._spare = threading.Semaphore(threads)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="fanout")

    def run(self, jobs: Sequence[Callable[[], T]], width: int) -> list[T]:
        """Run all jobs, at most ``width`` at a time, and return their results in order.

        The first exception of a job, in order, is raised when all jobs have ended.
        """
        work = _Work(jobs)
        for _ in range(min(width, len(jobs)) - 1):
            if not self._spare.acquire(blocking=False):
                break
            self._pool.submit(self._join, work)
        work.drain()
        return [future.result() for future in work.futures]

    def _join(self, work: "_Work[T]") -> None:
        try:
            work.drain()
        finally:
            self._spare.release()

    def close(self) -> None:
        """Let the spare threads end; jobs under way are not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Work(Generic[T]):
    """Jobs that whoever has time takes one by one."""

    def __init__(self, jobs: Sequence[Callable[[], T]]) -> None:
        self.futures: list[Future[T]] = [Future() for _ in jobs]
        # next() on one iterator is atomic under the interpreter lock: a job is taken once
        self._left = iter(list(zip(jobs, self.futures, strict=True)))

    def drain(self) -> None:
        for job, future in self._left:
            try:
                future.set_result(job())
            except BaseException as error:  # noqa: BLE001 - handed to the caller of run()
                future.set_exception(error)
