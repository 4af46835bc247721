"""What anomalies will be made of a category, in words, before any is made."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clflow.data.records import Manifest
from clflow.params import parse, section
from clflow.progress import say
from clflow.synthesis.bank import decide_on
from clflow.synthesis.members import Member, find_members
from clflow.synthesis.settings import SynthesizeSettings


def announce(manifest: Manifest, root: Path, dataset: str, params: Mapping[str, Any]) -> None:
    """Print the kind of a prepared category, why, and what its generators will do differently.

    Raises:
        SettingsError: the synthesize section of the parameters is wrong.
        DataError: a training image is missing or has changed, or a texture folder is empty.
    """
    settings = parse(SynthesizeSettings, section(params, "synthesize"), "synthesize")
    decision = decide_on(manifest, root, dataset, settings)
    say(f"{manifest.category}: {decision.reason}")
    for member in find_members(decision, settings):
        say(f"{manifest.category}: {'; '.join(_words(member))}")


def _words(member: Member) -> Iterator[str]:
    share = "" if member.weight == 1 else f" ({member.weight:.0%} of the anomalies)"
    own = member.settings.model_dump(exclude_defaults=True)
    yield f"generator {member.generator}{share}" + ("" if own else ", its own defaults")
    for name, value in own.items():
        between = " ± " if name == "background" else " to "
        yield f"{name} {_rounded(value, between)}"


def _rounded(value: Any, between: str = "") -> str:
    if isinstance(value, tuple):
        return between.join(map(_rounded, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)
