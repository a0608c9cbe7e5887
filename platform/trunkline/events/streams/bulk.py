"""Many commands at once, with raw answers: a pipeline of the client's takes three times as long over each of them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

from hiredis import pack_command
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from trunkline.events.streams.errors import mapped, translated

Command = tuple[Any, ...]
"""Name and arguments of a command: text or bytes."""


async def send(pool: Any, commands: Sequence[Command], answer_s: float) -> list[Any]:
    """Raw answers to commands that are sent together; a refusal of one is its answer.

    Args:
        pool: Of connections.
        commands: What to send.
        answer_s: Seconds that all answers may take.

    Raises:
        RedisUnavailable: nobody knows what was done.
    """
    answers: list[Any] = []
    with mapped():
        connection = await pool.get_connection()
        try:
            async with asyncio.timeout(answer_s):
                await connection.send_packed_command(b"".join(map(pack_command, commands)))
                while len(answers) < len(commands):
                    answers.append(await _answer(connection))
        except TimeoutError:
            raise RedisTimeoutError("Redis does not answer") from None
        finally:
            if len(answers) < len(commands):
                # What is still to come would be taken for answers to whatever is sent next.
                await connection.disconnect(nowait=True)
            await pool.release(connection)
    return answers


async def send_together(pool: Any, commands: Sequence[Command], answer_s: float) -> list[Any]:
    """As `send`, in MULTI and EXEC: nobody sees what some of the commands do before all are done.

    Raises:
        RedisUnavailable: one was refused beforehand and none was done, or nobody knows what was done.
    """
    *queued, done = await send(pool, [(b"MULTI",), *commands, (b"EXEC",)], answer_s)
    # EXEC itself says no more than that one of them was refused.
    refusal = next((one for one in (*queued, done) if isinstance(one, Exception)), None)
    if refusal is not None:
        raise translated(refusal) from refusal
    return list(done)


async def _answer(connection: Any) -> Any:
    try:
        # All of them have one time limit: one for each would take longer than the answer.
        return await connection.read_response(disable_decoding=True, timeout=math.inf)
    except ResponseError as refusal:
        return refusal
