"""What keyferry stands on, from the lock files and from what the distributions say of themselves."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / "requirements"
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==\S+ *(;.*?)? *\\$", re.MULTILINE)
_SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Apache Software License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""What distributions write instead of an SPDX expression."""


@dataclass(frozen=True)
class Dependency:
    """A distribution and its licence as an SPDX expression; empty when it does not say."""

    name: str
    licence: str


def locked(part: str) -> Iterator[Dependency]:
    """Yield what ``requirements/PART.txt`` pins and this platform installs."""
    for name, _ in _PINNED.findall((REQUIREMENTS / f"{part}.txt").read_text()):
        try:
            yield Dependency(name, licence(metadata.metadata(name)))
        except metadata.PackageNotFoundError:  # for another platform
            continue


def licence(about: metadata.PackageMetadata) -> str:
    """Return the licence: the SPDX expression, else the classifiers (all of them hold a choice), else the free text."""
    if "License-Expression" in about:
        return about["License-Expression"]
    classifiers = [c.rpartition(" :: ")[2] for c in about.get_all("Classifier", []) if c.startswith("License :: OSI")]
    words = classifiers or [about["License"]] if "License" in about or classifiers else []
    return " OR ".join(sorted(_SPDX.get(word, word) for word in words))
