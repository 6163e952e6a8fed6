"""Running a command's work so that it always cleans up: Ctrl-C, SIGTERM and a closing terminal end it once, and no more."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """As asyncio.run. The first of the signals cancels `work`, later ones do not cut short how it cleans up; then the exit
    status is 128 and the signal's number.
    """
    told: list[int] = []

    async def main() -> Result:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 (a coroutine that asyncio.run runs has one)

        def tell(number: int) -> None:
            told.append(number)
            if len(told) == 1:
                task.cancel()

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        heard = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]  # as nohup has it
        for number in heard:
            loop.add_signal_handler(number, tell, number)
        try:
            return await work
        finally:
            for number in (
                heard
            ):  # a loop that closes takes its pipe away before its handlers, and who comes between is shown a traceback
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_IGN)

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        raise SystemExit(128 + told[0] if told else 1) from None
