from pathlib import Path

import numpy as np
from builders import save, save_good, texture

from clflow.data.images import ArrayImages, FileImages
from clflow.files import sha256_of


def test_files_are_read_in_order_and_known_by_content(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = texture(rng)
    paths = (save(tmp_path / "z.png", pixels), *save_good(tmp_path, 2, rng))
    images = FileImages(paths)
    assert len(images) == 3
    assert np.array_equal(images[0], pixels)
    assert images.digests == tuple(sha256_of(path) for path in paths)


def test_arrays_are_known_by_shape_and_content() -> None:
    pixels = texture(np.random.default_rng(0), (4, 8))
    turned = np.ascontiguousarray(pixels.transpose(1, 0, 2)).transpose(1, 0, 2)
    images = ArrayImages([pixels, turned, pixels.reshape(8, 4, 3), pixels + 1])
    first, same, *others = images.digests
    assert same == first  # the layout in memory does not count
    assert len({first, *others}) == 3
    assert images[2].shape == (8, 4, 3)
    assert len(images) == 4
