"""What an export says of itself: `graph.json`, written with the graphs and read before them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from clflow.errors import DataError
from clflow.files import write_json

DESCRIPTION, ARRAYS = "graph.json", "arrays.npz"
FORMAT = 1

EngineName = Literal["onnx", "openvino"]
ENGINES: tuple[EngineName, ...] = ("onnx", "openvino")

_REMEDY = "export the detector again with `clflow export`"


@dataclass(frozen=True)
class Description:
    """An exported detector.

    Attributes:
        engine: which engine reads the graphs.
        opset: of ONNX.
        method, seed, clflow: of the detector, and the version that exported it.
        image_size: side in pixels of the maps, and of the images of a graph that is square.
        stretched: whether all images are made squares, whatever their shape.
        graphs: file of each graph, by the height and width of the images it takes, `256x256`.
        registered: whether images are brought into one pose first, and maps back.
        padding: what lies beyond the border of an image that was turned.
        top_fraction: the image score is the mean of that part of a map's highest pixels, 0 for its
            maximum.
    """

    engine: EngineName
    opset: int
    method: str
    seed: int | None
    clflow: str
    image_size: int
    stretched: bool
    registered: bool
    padding: str
    top_fraction: float
    graphs: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    def write(self, folder: Path) -> None:
        """Write graph.json.

        Raises:
            StorageError: it cannot be written.
        """
        write_json(folder / DESCRIPTION, asdict(self))

    def graph(self, height: int, width: int) -> str:
        """Return the file of the graph for images of a size.

        Raises:
            DataError: there is none.
        """
        name = size_name(height, width)
        if name not in self.graphs:
            raise DataError(
                f"an image is seen as {name} (height x width), but the export has graphs of "
                f"{', '.join(self.graphs)}: give images of the shape it was exported for, or "
                "export it for this shape too"
            )
        return self.graphs[name]


def size_name(height: int, width: int) -> str:
    """Return how a size is named, such as 256x256."""
    return f"{height}x{width}"


def read_description(folder: Path) -> Description:
    """Return what an export says of itself.

    Raises:
        DataError: the folder holds no export, a damaged one, or one of a newer version.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        what = "holds no exported detector" if folder.is_dir() else "is no folder"
        raise DataError(f"{folder} {what}, there is no {DESCRIPTION}: {_REMEDY}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        written = int(content["format"])
        if written > FORMAT:
            raise DataError(
                f"{path} is of format {written}, this clflow reads up to {FORMAT}: install clflow "
                f"{content.get('clflow', 'of a newer version')}"
            )
        return _checked(Description(**content), folder)
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({error}): {_REMEDY}") from error


def _checked(found: Description, folder: Path) -> Description:
    """Refuse what does not name files of the folder itself."""
    files: list[Any] = [*found.graphs.values(), *([ARRAYS] if found.registered else [])]
    if found.engine not in ENGINES:
        raise ValueError(f"engine {found.engine!r}, allowed are {' and '.join(ENGINES)}")
    if not found.graphs:
        raise ValueError("it names no graph")
    for name in files:
        if Path(name).name != name:
            raise ValueError(f"{name!r} is no file of the folder")
        if not (folder / name).is_file():
            raise DataError(f"{folder / name} is missing: {_REMEDY}")
    return found
