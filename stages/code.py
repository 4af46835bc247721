"""Stage `code`: note what code each stage runs, so that a change reruns what it concerns."""

from pathlib import Path

import typer

from clflow.pipeline.code import write_fingerprints
from clflow.progress import say

OUT = Path("data/code")


def main() -> None:
    count = write_fingerprints(Path(__file__).parent, OUT)
    say(f"code of {count} stages noted in {OUT}")


if __name__ == "__main__":
    typer.run(main)
