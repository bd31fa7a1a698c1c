"""What `pip install .` and the citation say is what there is."""

import re
import tomllib
from pathlib import Path

import setuptools

from tfadv import methods

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
VERSION = PYPROJECT["project"]["version"]


def test_the_wheel_holds_two_packages() -> None:
    include = PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    packages = setuptools.find_packages(str(ROOT), include=include)
    assert {name.partition(".")[0] for name in packages} == {"tfadv", "tfrecords"}
    # A folder without __init__.py would be left out.
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in ("tfadv", "tfrecords")
        for path in (ROOT / top).rglob("*.py")
    }
    assert set(packages) == folders


def test_versions_agree() -> None:
    assert f"\nversion: {VERSION}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## [{VERSION}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_papers_of_all_methods_are_cited() -> None:
    cited = re.findall(r"arXiv:\d{4}\.\d{5}", (ROOT / "CITATION.cff").read_text())
    named = {
        number
        for method in methods.all_methods().values()
        for number in re.findall(r"arXiv:\d{4}\.\d{5}", method.paper)
    }
    assert len(named) == 4
    assert sorted(cited) == sorted(named)


def test_dependencies_are_those_of_requirements() -> None:
    """Setuptools reads the file: it must hold nothing but names and versions."""
    assert PYPROJECT["project"]["dynamic"] == ["dependencies"]
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert len(wanted) > 10
    assert all(re.fullmatch(r"[\w-]+[<>=][\w.,<>=]+", line) for line in wanted)


def test_the_server_runs_the_same_tensorflow() -> None:
    """In an environment of its own, from requirements of its own."""
    own = (ROOT / "serving" / "requirements.txt").read_text().splitlines()
    shared = {"tensorflow", "tensorflow-serving-api"}
    wanted = (ROOT / "requirements.txt").read_text().splitlines()
    pinned = {line for line in wanted if line.partition("==")[0] in shared}
    assert len(pinned) == 2
    assert pinned <= set(own)
