"""Methods stand across a table unless they are too many for a page."""

from pathlib import Path

import pytest
from run_files import write_study

from clflow.report.summary import Summary, oriented, summarize


def summary_of(folder: Path, count: int) -> Summary:
    methods = {f"method{index}": [0.9, 0.8] for index in range(count)}
    frame = write_study(folder, {"bottle": methods, "zipper": methods})
    return summarize(frame, "image_auroc")


@pytest.mark.parametrize("count", [1, 8, 9, 20])
def test_every_cell_stands_where_its_labels_cross(count: int, tmp_path: Path) -> None:
    summary = summary_of(tmp_path, count)
    places = ["bottle", "zipper", "mean of 2 categories"]
    cells = [[f"{place}/{method}" for method in summary.methods] for place in places]
    table = oriented(summary, cells)
    corner, *across = table.columns
    down = [row[0] for row in table.rows]
    assert (corner, table.mean_last) == (("Category", True) if count <= 8 else ("Method", False))
    assert {*across, *down} == {*places, *summary.methods}
    for row in table.rows:
        for column, cell in zip(across, row[1:], strict=True):
            assert cell in (f"{row[0]}/{column}", f"{column}/{row[0]}")
