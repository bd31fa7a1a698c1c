"""What to train on a record set within some minutes of this machine, and why: a baseline first.

The record set says which methods can read it. A method says in which sizes it comes
(`Method.sizes`); they are measured, from the smallest, until the next would leave too few steps or
not fit into memory.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from absl import logging

from tfadv import methods
from tfadv.methods.method import Method
from tfadv.run.run import Run
from tfadv.run.split import HeldOut, to_measure
from tfadv.study.entries import Value
from tfadv.study.fingerprint import Fingerprint
from tfadv.study.plan import Line
from tfadv.training.cost import Cost, inference_cost, step_cost
from tfrecords.errors import SettingError
from tfrecords.files import write_file
from tfrecords.memory import free_memory
from tfrecords.reading.record_set import RecordSet

BASELINE, ADVERSARIAL, UNLABELLED = "baseline", "adversarial", "unlabelled"
LEAST_STEPS = 1500  # Ours, not measured: below, a network is larger than it has time to learn.
EPOCHS = 20  # At most: how often the best is chosen.
START_S = 20.0  # Of a program, until its first step.
TRAINING = 0.8  # Of the time for steps; the rest is for validation, checkpoints and disturbances.
VALIDATION = 0.15
REPETITIONS = 3
PRECISIONS = ("float32", "mixed_bfloat16")
HELD = 0.9  # Of memory.


@dataclass(frozen=True)
class Limits:
    """What a training may take."""

    minutes: float
    memory_bytes: float

    @property
    def seconds(self) -> float:
        """For steps and validation."""
        return max(60 * self.minutes - START_S, 1.0)


@dataclass(frozen=True)
class Proposal:
    """Lines as in a study file, the baseline first, and a reason for each choice."""

    records: RecordSet
    limits: Limits
    lines: dict[str, Line]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """A method in one size, and what a step of it costs here."""

    method: Method
    values: dict[str, Value]
    step: Cost

    def steps(self, limits: Limits) -> int:
        """That the limits leave."""
        return int(TRAINING * limits.seconds / self.step.seconds)


def limits_of(minutes: float, memory_gb: float | None) -> Limits:
    """Args: memory_gb: what is free now if not given."""
    free = free_memory() or math.inf
    return Limits(minutes, HELD * (free if memory_gb is None else memory_gb * 1e9))


def propose(
    records: RecordSet,
    limits: Limits,
    name: str | None = None,
    held_out: HeldOut | None = None,
) -> Proposal:
    """A baseline, its adversarial partner, and what uses unlabelled subjects, if there are any.

    Args:
        name: of the only method to propose for.
        held_out: of the runs to train; by default as `to_measure`.

    Raises:
        SettingError: even the smallest size does not fit, or no method reads this record set.
    """
    fingerprint = Fingerprint.of(records.manifest)
    chosen = {BASELINE: name} if name else _chosen(fingerprint)
    reasons = [fingerprint.words, *fingerprint.remarks]
    held_out = held_out or to_measure(records.manifest)
    lines = {}
    for line, method in chosen.items():
        reasons.append(f"{line}: {method}: {methods.get(method).summary}")
        found = list(_climb(records, held_out, limits, method))
        best = found[-1]
        reasons += [f"  {_sentence(one, limits)}" for one in found]
        values = best.values
        for paced, why in _paced(records, held_out, limits, best):
            values = values | dict(paced)
            reasons.append(f"  {_named(paced)}: {why}")
        lines[line] = Line(method, values)
    return Proposal(records, limits, lines, tuple(reasons))


def _chosen(fingerprint: Fingerprint) -> dict[str, str]:
    """Methods by line, among those of the record set's view: of patches, those that see most."""
    fitting = [
        known
        for known in methods.all_methods().values()
        if known.view.kind == fingerprint.view.kind and known.view.served_by(fingerprint.view)
    ]
    # Inherited, a partner is the baseline's own.
    baselines = [known for known in fitting if "partner" in vars(known)]
    if not baselines:
        raise SettingError(
            "records",
            f"expected a view that a method reads, received {fingerprint.view}: preprocess with "
            "--method of the one that you want",
        )
    # Of equal ones, the first.
    baseline = max(baselines, key=lambda known: getattr(known.view, "patch_size", 0))
    chosen = {BASELINE: baseline.name, ADVERSARIAL: baseline.partner}
    if fingerprint.unlabelled:
        partner = methods.get(baseline.partner)
        for known in filter(_takes_unlabelled, (partner, *fitting)):
            chosen.setdefault(UNLABELLED, known.name)
    return chosen


def _takes_unlabelled(known: type[Method]) -> bool:
    return any(hyperparameter.name == "unlabelled" for hyperparameter in fields(known))


def _climb(records: RecordSet, held_out: HeldOut, limits: Limits, name: str) -> Iterator[Measured]:
    """The sizes that fit, each measured, from the smallest to the one to train."""
    known = methods.get(name)
    largest = max(records.manifest.largest_shape)
    smallest = _smallest(records, held_out, known)
    before: Measured | None = None
    for size in known.sizes:
        # A crop that the last one held already shows nothing new.
        if before and size.get("crop_size", 0) >= largest + 16:
            return
        values = {**smallest.values, **size}
        measured = _measured(records, held_out, known, values) if before else smallest
        if measured.step.peak_bytes > limits.memory_bytes:
            if before is None:
                raise SettingError(
                    "memory_gb",
                    f"expected at least {measured.step.peak_bytes / 1e9:.1f}, which the smallest "
                    f"{name} takes, received {limits.memory_bytes / HELD / 1e9:.1f}",
                )
            return
        if before and measured.steps(limits) < LEAST_STEPS:
            logging.info("%s: too slow: %s", name, _sentence(measured, limits))
            return
        yield measured
        # The next size takes up to four times as much of both.
        grown = before.step.peak_bytes if before else 0
        more = 4 * (measured.step.peak_bytes - grown) if before else 0
        if measured.step.peak_bytes + more > limits.memory_bytes:
            return
        if measured.steps(limits) < LEAST_STEPS:
            return
        before = measured


def _measured(
    records: RecordSet, held_out: HeldOut, known: type[Method], values: dict[str, Value]
) -> Measured:
    logging.info("measuring %s: %s", known.name, _named(values))
    method = known.configure("small", [f"{key}={value}" for key, value in values.items()])
    run = Run.new(method, records, held_out)
    return Measured(method, values, step_cost(run, REPETITIONS))


def _smallest(records: RecordSet, held_out: HeldOut, known: type[Method]) -> Measured:
    """The first size, in the faster one of float32 and bfloat16."""
    values: dict[str, Value] = dict(known.sizes[0])
    if _takes_unlabelled(known) and records.manifest.unlabelled:
        values["unlabelled"] = True
    found = [
        _measured(records, held_out, known, values | {"precision": precision})
        for precision in PRECISIONS
    ]
    return min(found, key=lambda measured: measured.step.seconds)


def _paced(
    records: RecordSet, held_out: HeldOut, limits: Limits, measured: Measured
) -> Iterator[tuple[Mapping[str, Value], str]]:
    """Epochs and their steps, so that validation takes its share and no more; what follows them."""
    run = Run.new(measured.method, records, held_out)
    volume, _ = inference_cost(run, 1)
    folds = run.settings.validation_folds
    subjects = sum(subject.fold in folds for subject in records.manifest.subjects)
    affordable = int(VALIDATION * limits.seconds / (volume.seconds * subjects))
    steps = measured.steps(limits)
    epochs = max(1, min(EPOCHS, affordable, steps))
    steps_per_epoch = max(1, steps // epochs)
    of_subject = epochs * steps_per_epoch * measured.method.batch_size / len(run.subjects)
    yield (
        {"epochs": epochs, "steps_per_epoch": steps_per_epoch},
        f"{subjects} validation subjects take {volume.seconds * subjects:.1f} s after each; "
        f"the segmentor sees {of_subject:.0f} examples of a subject in all",
    )
    yield from measured.method.paced(epochs, of_subject)


def _sentence(measured: Measured, limits: Limits) -> str:
    return (
        f"{_named(measured.values)}: {measured.step.seconds:.3f} s a step, "
        f"{measured.steps(limits)} steps in {limits.minutes:g} minutes, "
        f"{measured.step.peak_bytes / 1e9:.1f} GB"
    )


def _named(values: Mapping[str, Value]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def write(path: Path, proposal: Proposal) -> None:
    """Writes a proposal as a study file, its reasons as comments at its head."""
    lines = [f"# {reason}" for reason in proposal.reasons]
    folder = proposal.records.folder
    title = f"{folder.resolve().name}: {proposal.limits.minutes:g} minutes for each line"
    lines += [
        f"title = {json.dumps(title)}",
        f"records = {json.dumps(str(folder))}",
        'preset = "small"  # Where no value is given below.',
    ]
    for name, line in proposal.lines.items():
        lines += ["", f"[lines.{name}]", f"method = {json.dumps(line.method)}"]
        values = ", ".join(f"{key} = {json.dumps(value)}" for key, value in line.hp.items())
        lines.append(f"hp = {{{values}}}")
    write_file(path, ("\n".join(lines) + "\n").encode())
