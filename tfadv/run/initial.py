"""Weights to begin with: those of another run, or of an exported model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from absl import logging

from tfadv.adversarial import AdversarialModel
from tfadv.inference.description import DESCRIPTION
from tfadv.inference.model import read_description
from tfadv.inference.versions import is_version_of, latest
from tfadv.inference.weights import named_weights, saved_weights
from tfadv.run.run import Run, load_run
from tfadv.run.settings import Initial, Settings
from tfadv.run.work_dir import REMEDY, VERSION, WorkDir
from tfrecords.errors import SettingError, UserError
from tfrecords.files import json_checksum, read_json, write_json
from tfrecords.names import shortened


class FirstWeights(NamedTuple):
    """What a run begins with.

    Attributes:
        source: its folder.
        weights: by network, then by variable as `named_weights` calls it.
        trained: fingerprints of the subjects that trained it.
    """

    source: str
    weights: dict[str, dict[str, np.ndarray]]
    trained: frozenset[str]


@dataclass(frozen=True)
class Inherited:
    """What a run's first weights know: fingerprints of the subjects that trained them."""

    trained: tuple[str, ...]


def initial_of(source: Path, work_dir: WorkDir) -> Initial:
    """What is noted of a source for a run. Once that has an epoch, the source may be gone.

    Of a folder of versions, a run goes on with the one that was the latest when it began.

    Raises:
        SettingError: there is neither a run nor a model.
        UserError: it is damaged, or no epoch of the run is finished.
    """
    where = str(source.resolve())
    if work_dir.progress().epochs:
        settings = work_dir.settings()
        if where == settings.init_from or is_version_of(Path(settings.init_from), Path(where)):
            return Initial(settings.init_from, settings.init_sha256)
    source = latest(source)
    return Initial(str(source.resolve()), _checksum(source))


def _checksum(source: Path) -> str:
    if _is_run(source):
        progress = WorkDir(source).progress()
        if not progress.best_epoch:
            raise UserError(f"{source}: no epoch is finished yet; run launch/train.py on")
        return progress.weights[progress.best_epoch]
    if (source / "assets" / DESCRIPTION).is_file():
        return json_checksum(read_description(source).files)
    raise SettingError(
        "init_from",
        "expected a run made by launch/train.py or a model made by launch/export.py, received "
        f"{source}",
    )


def read_first_weights(settings: Settings) -> FirstWeights:
    """The weights that a run begins with.

    Raises:
        UserError: the source is gone or damaged, or not as it was when it was noted.
        SettingError: it is a model of several runs.
    """
    source = Path(settings.init_from)
    if _checksum(source) != settings.init_sha256:
        raise UserError(
            f"{source}: changed since this run was to begin with it. Train in another --work_dir"
        )
    return _of_run(source) if _is_run(source) else _of_model(source)


def _of_run(source: Path) -> FirstWeights:
    work_dir = WorkDir(source)
    run, model, _ = load_run(work_dir)
    weights = {
        name: {path: variable.numpy() for path, variable in named_weights(network).items()}
        for name, network in model.players.networks.items()
    }
    return FirstWeights(str(source), weights, trained_on(work_dir, run))


def _of_model(source: Path) -> FirstWeights:
    description = read_description(source)
    if len(description.members) != 1:
        raise SettingError(
            "init_from",
            f"expected a model of one run, received {source}, of {len(description.members)}",
        )
    segmentor = saved_weights(source)
    return FirstWeights(str(source), {"segmentor": segmentor}, frozenset(description.seen.training))


def inherit(work_dir: WorkDir, first: FirstWeights) -> None:
    """Notes what first weights know, for those who score the run on other subjects."""
    write_json(work_dir.inherited, Inherited(tuple(sorted(first.trained))), VERSION)


def trained_on(work_dir: WorkDir, run: Run) -> frozenset[str]:
    """Fingerprints of the subjects that trained a run, or the weights with which it began."""
    seen = run.subjects | (run.unlabelled_subjects or frozenset())
    own = {s.fingerprint for s in run.manifest.subjects if s.name in seen}
    if run.settings.init_from:
        own.update(read_json(work_dir.inherited, Inherited, VERSION, REMEDY).trained)
    return frozenset(own)


def begin_with(first: FirstWeights, model: AdversarialModel) -> None:
    """Gives networks what fits of the weights, and tells what does not.

    Raises:
        UserError: nothing fits the segmentor.
    """
    for name, network in model.players.networks.items():
        if name in first.weights:
            _fill(name, network, first.weights[name], first.source)
        else:
            logging.info("%s: starts afresh; %s has no such network", name, first.source)


def _fill(name: str, network: keras.Model, found: Mapping[str, np.ndarray], source: str) -> None:
    wanted = named_weights(network)
    shapes = {path: tuple(variable.shape) for path, variable in wanted.items()}
    new = [path for path in wanted if path not in found]
    other = [path for path in wanted if path in found and found[path].shape != shapes[path]]
    fitting = [path for path in wanted if path not in {*new, *other}]
    unused = [path for path in found if path not in wanted]
    for path in fitting:
        wanted[path].assign(found[path])
    logging.info("%s: %d of %d variables are those of %s", name, len(fitting), len(wanted), source)
    for kind, paths in (("of another shape there", other), ("not there", new)):
        if paths:
            logging.info("%s: %d %s start afresh: %s", name, len(paths), kind, shortened(paths))
    if unused:
        logging.info("%s: %d there are not used: %s", name, len(unused), shortened(unused))
    if not fitting and name == "segmentor":
        raise UserError(f"{source}: nothing of its segmentor fits; give another --init_from")


def _is_run(source: Path) -> bool:
    return WorkDir(source).hyperparameters.is_file()
