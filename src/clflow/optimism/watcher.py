"""An observer of training that measures now and then."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from clflow.errors import TrainingError
from clflow.optimism.report import Metrics, Point


def observed_steps(total: int, points: int) -> tuple[int, ...]:
    """Return at most `points` evenly spaced steps of 1 .. total; the last one is `total`.

    >>> observed_steps(200, 4)
    (50, 100, 150, 200)
    >>> observed_steps(3, 10)
    (1, 2, 3)
    """
    return tuple(sorted({-(-total * point // points) for point in range(1, points + 1)}))


@dataclass
class Watcher:
    """Measures at the given steps and at no other.

    Attributes:
        points: what was measured, in the order of training.
    """

    steps: Sequence[int]
    measure: Callable[[int], Metrics]
    points: list[Point] = field(default_factory=list)

    def __call__(self, step: int) -> None:
        """Measure if it is time to."""
        if step in self.steps:
            self.points.append(Point(step=step, metrics=dict(self.measure(step))))

    def check_complete(self) -> None:
        """Refuse a training that was not seen at all the steps.

        Raises:
            TrainingError: see above.
        """
        seen = [point.step for point in self.points]
        if seen != list(self.steps):
            raise TrainingError(
                f"training was observed at steps {seen} instead of {list(self.steps)}: the method "
                "does not call the observer of its workspace after every step; leave it out of "
                "optimism.methods"
            )
