"""What handlers print in their processes goes to the worker's log: the beginning of it, and the end of what was too much.

A process that prints faster than that waits; it never stops, and neither the log nor the event loop is at its mercy.
"""

import codecs
from typing import Any

from jobhub.worker.pipe import Pipe

MAX_LOGGED_BYTES = 256 * 1024
MAX_END_BYTES = 2_048
# Between two entries: a handler that prints letter by letter must not make an entry of each.
SECONDS_BETWEEN_ENTRIES = 0.05
# Between two chunks of what is thrown away, 64 KiB each: 30 MB a second, for one or two percent of the event loop's time.
SECONDS_BETWEEN_DISCARDS = 0.002


async def log_output(pipe: Pipe, log: Any) -> None:
    """Read a pipe to its end and close it."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    logged, left_out, end = 0, 0, b""
    try:
        while part := await pipe.read():
            if logged < MAX_LOGGED_BYTES:
                logged += len(part)
                log.info("handler_output", text=decoder.decode(part))
                await pipe.pause(SECONDS_BETWEEN_ENTRIES)
            else:
                left_out += len(part)
                end = (end + part)[-MAX_END_BYTES:]
                await pipe.pause(SECONDS_BETWEEN_DISCARDS)
    finally:
        pipe.close()
    if left_out:
        log.warning("handler_output_cut", left_out_bytes=left_out, end=end.decode(errors="replace"))
