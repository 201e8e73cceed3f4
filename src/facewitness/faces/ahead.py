"""Let a producer run ahead of its consumer on a thread of its own."""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
AHEAD = 8
"""Items the producer may be ahead; a decoded 4K frame is 25 MB."""


class _End:
    """The last word of the producer: its error, if any."""

    def __init__(self, error: BaseException | None):
        self.error = error


def read_ahead(items: Iterable[T], ahead: int = AHEAD) -> Iterator[T]:
    """Yield ``items`` in order while a thread takes up to ``ahead`` more of them; its errors are raised here."""
    ready: queue.Queue[T | _End] = queue.Queue(ahead)
    stop = threading.Event()

    def put(item: T | _End) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False

    def produce() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as e:  # handed to the consumer, who raises it
            error = e
        put(_End(error))

    thread = threading.Thread(target=produce, name="read-ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        thread.join()
