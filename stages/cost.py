"""Stage `cost`: measure what one method costs on the first category of the study."""

import typer

from clflow.detectors.registry import find_method
from clflow.pipeline.cost import Job, measure_cost
from clflow.pipeline.settings import CostSettings
from clflow.pipeline.stage import stage
from clflow.progress import say
from clflow.settings import parse, section


def main(method: str) -> None:
    with stage() as (study, params):
        found = find_method(method)
        found.check_installed()
        settings = found.complete(section(params, f"train.{method}"))
        job = Job(
            study=study.name,
            dataset=study.dataset,
            root=study.root,
            category=study.categories[0],
            method=method,
            settings=found.shortened(settings, study.step_fraction),
            timing=parse(CostSettings, section(params, "cost"), "cost"),
        )
        report = measure_cost(job)
        for batch, latency in report.latency.items():
            say(
                f"{method} batch {batch}: {latency.detector.median_ms:.1f} ms, "
                f"{latency.ratio:.2f} times the backbone"
            )


if __name__ == "__main__":
    typer.run(main)
