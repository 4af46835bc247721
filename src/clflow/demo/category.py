"""What one category of the demo provides."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from clflow.demo.camera import Camera
from clflow.demo.fields import Array

Scene = TypeVar("Scene")


@dataclass(frozen=True)
class Category(Generic[Scene]):
    """A scene model; rendering is a function of the scene alone, so defects change nothing else.

    `draw` makes a flawless scene for a grid of the given size, `radiance` renders it [3, H, W],
    `camera` names its camera and `defects` return a changed scene.
    """

    draw: Callable[[np.random.Generator, int], Scene]
    radiance: Callable[[Scene], Array]
    camera: Callable[[Scene], Camera]
    defects: Mapping[str, Callable[[Scene, np.random.Generator], Scene]]
