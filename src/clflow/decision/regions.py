"""Regions of an anomaly map: where an image is anomalous, in the image's own pixels."""

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_NEIGHBOURS = 8


@dataclass(frozen=True)
class Region:
    """Connected pixels above the pixel threshold.

    Attributes:
        x, y, width, height: the box around it; x and y are its upper left pixel.
        area: in pixels.
        peak, mean: highest and mean score inside.
        peak_x, peak_y: the pixel of the highest score.
    """

    x: int
    y: int
    width: int
    height: int
    area: int
    peak: float
    mean: float
    peak_x: int
    peak_y: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Upper left pixel, width and height: (x, y, w, h)."""
        return self.x, self.y, self.width, self.height

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


def find_regions(
    anomaly_map: NDArray[np.float32], threshold: float, minimum_area: int = 1
) -> tuple[Region, ...]:
    """Return the 8-connected regions above a threshold, the highest peak first.

    Args:
        anomaly_map: [H, W].
        threshold: a pixel belongs to a region if its score is higher.
        minimum_area: smaller regions are left out, in pixels.

    >>> scores = np.zeros((4, 6), np.float32)
    >>> scores[1, 2:4] = 3, 5
    >>> find_regions(scores, 1.0)[0].box
    (2, 1, 2, 1)
    """
    above = (anomaly_map > threshold).astype(np.uint8)
    if not above.any():
        return ()
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(above, connectivity=_NEIGHBOURS)
    regions = [
        _region(anomaly_map, labels, index, boxes[index])
        for index in range(1, count)
        if boxes[index][cv2.CC_STAT_AREA] >= minimum_area
    ]
    return tuple(sorted(regions, key=lambda region: (-region.peak, region.y, region.x)))


def region_mask(anomaly_map: NDArray[np.float32], threshold: float, minimum_area: int = 1) -> Any:
    """Return the pixels of all regions, bool [H, W]."""
    above = (anomaly_map > threshold).astype(np.uint8)
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(above, connectivity=_NEIGHBOURS)
    kept = boxes[:, cv2.CC_STAT_AREA] >= minimum_area
    kept[0] = False
    return kept[labels]


def _region(
    anomaly_map: NDArray[np.float32], labels: NDArray[Any], index: int, box: NDArray[Any]
) -> Region:
    x, y, width, height, area = map(int, box)
    inside = labels[y : y + height, x : x + width] == index
    scores = np.where(inside, anomaly_map[y : y + height, x : x + width], -np.inf)
    row, column = np.unravel_index(int(scores.argmax()), scores.shape)
    return Region(
        x=x,
        y=y,
        width=width,
        height=height,
        area=area,
        peak=float(scores[row, column]),
        mean=float(scores[inside].mean(dtype=np.float64)),
        peak_x=x + int(column),
        peak_y=y + int(row),
    )
