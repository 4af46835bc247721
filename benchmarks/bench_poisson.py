"""Times our Poisson blend beside the bare `cv2.seamlessClone` on the same patches, one thread."""

import os

# Before numpy is loaded: its products would thread at large sizes
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import time
from collections.abc import Callable
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from tabulate import tabulate

from clflow.synthesis.blending import CloneMode, seamless_clone

Image = NDArray[np.uint8]

REPEATS, SECONDS_PER_REPEAT = 7, 0.05
FLAGS: dict[CloneMode, int] = {"normal": cv2.NORMAL_CLONE, "mixed": cv2.MIXED_CLONE}


def texture(rng: np.random.Generator, side: int) -> Image:
    """Return smooth noise [side, side, 3], as rich in contrast as a photograph."""
    waves = cv2.GaussianBlur(rng.standard_normal((side, side, 3)), (0, 0), 2)
    image: Image = np.clip(128 + 50 * waves / waves.std(), 0, 255).astype(np.uint8)
    return image


def milliseconds(work: Callable[[], Any]) -> float:
    """Return the CPU time of one call, the best of a few rounds."""
    work()
    best = float("inf")
    for _ in range(REPEATS):
        start, calls = time.process_time(), 0
        while time.process_time() - start < SECONDS_PER_REPEAT:
            work()
            calls += 1
        best = min(best, (time.process_time() - start) / calls)
    return 1e3 * best


def opencv(destination: Image, patch: Image, corner: int, mode: CloneMode) -> Image:
    """Clone a whole rectangle; its mask, which OpenCV overwrites, is made anew."""
    side = len(patch)
    mask = np.zeros((side, side), np.uint8)
    mask[1:-1, 1:-1] = 255
    # The centre of the mask's box, 1 px inside the patch
    centre = corner + 1 + (side - 2) // 2
    blended = cv2.seamlessClone(patch, destination, mask, (centre, centre), FLAGS[mode])
    return np.asarray(blended, np.uint8)


def compare(rng: np.random.Generator, size: int, side: int, mode: CloneMode) -> list[str]:
    """Return a table row of one patch side: times, their ratio, the largest difference."""
    destination, patch = texture(rng, size), texture(rng, side)
    mask, corner = np.ones((side, side), bool), (size - side) // 2

    def ours() -> Image | None:
        return seamless_clone(destination, patch, mask, (corner, corner), mode)

    def theirs() -> Image:
        return opencv(destination, patch, corner, mode)

    blended = ours()
    if blended is None:
        raise typer.BadParameter(f"a patch of {side} px is too small to blend; use 10 or more")
    difference = np.abs(np.subtract(blended, theirs(), dtype=int)).max()
    times = milliseconds(theirs), milliseconds(ours)
    cells = (f"{times[0]:.2f}", f"{times[1]:.2f}", f"{times[0] / times[1]:.1f}", str(difference))
    return [str(side), mode, *cells]


def main(
    sides: Annotated[list[int], typer.Option("--side", help="Sides of patches in pixels.")] = [  # noqa: B006
        *(10, 16, 32, 48, 66, 100, 128, 200)
    ],
    size: Annotated[int, typer.Option(help="Side of the image in pixels.")] = 256,
) -> None:
    """Print CPU milliseconds per blend of square patches, and the largest difference in levels."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    rows = [compare(rng, size, side, mode) for side in sides for mode in FLAGS]
    headers = ("side", "mode", "cv2, ms", "clflow, ms", "faster by", "difference")
    print(tabulate(rows, headers, tablefmt="pipe", disable_numparse=True))


if __name__ == "__main__":
    typer.run(main)
