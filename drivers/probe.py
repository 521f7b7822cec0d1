"""Who is on a line? Reads only; used by `steward probe`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from gateway.ports import Answer, Block, DeviceError, DeviceException, Driver, Garbled, LineDown, NoAnswer


@dataclass(frozen=True, slots=True)
class Found:
    """A unit that is there: what it answered to each block, or with which exception it refused it.

    `noise` counts answers that were damaged: wrong baud rate or parity, or two units with one address.
    """

    unit: int
    answers: tuple[Answer, ...]
    refused: tuple[tuple[Block, int], ...]
    noise: int

    @property
    def sure(self) -> bool:
        """True when it gave at least one valid answer; an exception is one."""
        return bool(self.answers or self.refused)


async def scan(
    driver: Driver,
    units: Iterable[int],
    blocks: Sequence[Block],
    timeout_s: float = 0.3,
    on_progress: Callable[[int, Found | None], None] | None = None,
) -> list[Found]:
    """Ask each unit for each block (its own unit is put in) until it is silent once.

    `on_progress(unit, found)` after each unit. Raises LineDown when the line cannot be opened.
    """
    found = []
    for unit in units:
        await driver.open()
        one = await _ask(driver, unit, blocks, timeout_s)
        if one.sure or one.noise:
            found.append(one)
        if on_progress is not None:
            on_progress(unit, one if one.sure or one.noise else None)
    return found


async def _ask(driver: Driver, unit: int, blocks: Sequence[Block], timeout_s: float) -> Found:
    answers, refused, noise = [], [], 0
    for block in blocks:
        mine = replace(block, unit=unit)
        try:
            answers.append(await driver.read(mine, timeout_s))
        except DeviceException as e:
            refused.append((mine, e.code))
        except NoAnswer:
            break
        except (Garbled, LineDown):
            noise += 1
            await driver.open()
        except DeviceError:
            break
    return Found(unit, tuple(answers), tuple(refused), noise)
