"""CL-Flow (arXiv 2311.06794), reconstructed: FastFlow, smoothed cross-entropy, cosine contrast.

A reconstruction, not a reproduction: the paper's tables, weights and schedule are not public. Three
levels, likelihood of good images, cross-entropy on cells of good images and of synthetic anomalies,
contrast of box features; both extra weights rise over the first tenth of the steps.
"""

from clflow.detectors.flow.defaults import PUBLISHED
from clflow.detectors.flow.settings import FlowSettings
from clflow.detectors.merge import merged

Settings = FlowSettings
DETECTOR = "clflow.detectors.flow.detector:FlowDetector"
DEFAULTS = merged(
    PUBLISHED,
    {
        "classification": {"weight": 0.1},
        "contrast": {"weight": 0.1},
        # eight good images and eight anomalies: as many maps a step as FastFlow sees
        "training": {"batch_size": 8, "gradient_clip": 1.0},
    },
)
