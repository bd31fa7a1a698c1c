"""Of which classes and regions a model should keep the largest component alone, by validation."""

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfadv.evaluation import measures
from tfadv.evaluation.scoring import Segmented, score
from tfadv.inference.components import decide
from tfadv.inference.description import ComponentNote
from tfadv.inference.targets import averaged_regions
from tfadv.run.ensemble import Ensemble
from tfrecords.reading.record_set import subject_volumes
from tfrecords.records.manifest import Manifest, SubjectRecord

DICE = [measures.named("dice")]


def choose(ensemble: Ensemble) -> list[ComponentNote]:
    """A note for each map of foreground, measured on the subjects that validated each member.

    Every member segments its own, alone: the others may have trained on them. No test subject is
    looked at.
    """
    targets = ensemble.targets
    tried = [number for number, members in enumerate(targets.members) if 0 not in members]
    found = np.concatenate([_of_member(member, tried) for member in ensemble.alone()])
    without, *with_largest = found.mean(axis=0).tolist()
    return [
        ComponentNote(targets.names[number], len(found), without, dice, dice > without)
        for number, dice in zip(tried, with_largest, strict=True)
    ]


def sentence(note: ComponentNote) -> str:
    """What a note says."""
    return (
        f"{note.map}: {'' if note.kept else 'not '}only its largest component; mean Dice of "
        f"{note.subjects} validation subjects {note.dice_of_largest:.4f} with that alone, "
        f"{note.dice:.4f} with all"
    )


def _of_member(member: Ensemble, tried: list[int]) -> np.ndarray:
    """Mean Dice [subjects, 1 + maps]: of the label map as it is, and with each map in one piece."""
    run, predictor, targets = member.first, member.predictor(), member.targets
    records, folds = run.records, run.settings.validation_folds
    origins = {subject.name: subject for subject in run.manifest.subjects}
    total = sum(subject.fold in folds for subject in origins.values())
    rows = []
    volumes = subject_volumes(records, folds)
    for volume in tqdm(volumes, "Comparing components", total=total, dynamic_ncols=True):
        image = tf.constant(volume.image.astype(np.float32))
        probabilities = predictor.predict(image)["probabilities"]
        label_maps = [
            decide(probabilities, targets, largest).numpy().astype(np.uint8)
            for largest in ((), *((number,) for number in tried))
        ]
        origin = origins[volume.subject]
        rows.append(
            [_mean_dice(Segmented(volume, label), origin, run.manifest) for label in label_maps]
        )
    return np.array(rows)


def _mean_dice(segmented: Segmented, origin: SubjectRecord, manifest: Manifest) -> float:
    scores = score(segmented, origin, manifest, DICE)
    return float(np.mean([scores[region]["dice"] for region in averaged_regions(manifest)]))
