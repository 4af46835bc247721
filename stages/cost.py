"""Stage `cost`: measure what one method costs on one category."""

import typer

from clflow.detectors.registry import find_method
from clflow.pipeline.cost import Job, measure_cost
from clflow.pipeline.stage import stage
from clflow.progress import say


def main(method: str) -> None:
    with stage() as params:
        study = params.study
        category = params.cost.category
        assert category is not None  # checked with the methods
        found = find_method(method)
        found.check_installed()
        settings = found.complete(params.overrides(method))
        job = Job(
            study=study.name,
            dataset=study.dataset,
            root=study.root_of(category),
            category=category,
            method=method,
            settings=found.shortened(settings, study.step_fraction),
            timing=params.cost,
        )
        report = measure_cost(job)
        for batch, latency in report.latency.items():
            say(
                f"{method} batch {batch}: {latency.detector.median_ms:.1f} ms, "
                f"{latency.ratio:.2f} times the backbone"
            )


if __name__ == "__main__":
    typer.run(main)
