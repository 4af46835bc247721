"""FastFlow (arXiv 2111.07677): one 2D flow per level of a frozen backbone, good images only.

Score, blocks and optimiser as published; features are standardised per channel instead of passing a
trained LayerNorm, and training is a fixed number of steps instead of 500 epochs.
"""

from clflow.detectors.flow.defaults import PUBLISHED
from clflow.detectors.flow.settings import FlowSettings

Settings = FlowSettings
DETECTOR = "clflow.detectors.flow.detector:FlowDetector"
DEFAULTS = PUBLISHED
