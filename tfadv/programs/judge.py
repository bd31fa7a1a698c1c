"""Trains a judge of a run's label maps, which tells how far to trust them. Minutes, after training.

python launch/judge.py --work_dir runs/kohl_cross_entropy

A new discriminator learns to tell true label maps of training subjects from those that the run
makes, of the images as they are and degraded, while the segmentor stands still. It serves any
method, with a discriminator or without. launch/export.py then takes it into the model, whose
output `quality` has its verdict, and launch/evaluate.py --quality measures what that is worth.
"""

from pathlib import Path

from absl import flags

from tfadv.programs import cli, early
from tfadv.programs.start import start_tensorflow

WORK_DIR = flags.DEFINE_string("work_dir", None, "Run made by launch/train.py.", required=True)
STEPS = flags.DEFINE_integer("steps", 1000, "Minibatches that the judge learns from.", 1)


def main() -> None:
    early.require_there(early.RUN, Path(WORK_DIR.value))
    start_tensorflow()
    # Imported here, so that --help and wrong flags do not wait for TensorFlow.
    from tfadv.run.work_dir import WorkDir  # noqa: PLC0415
    from tfadv.training.judge import train_judge  # noqa: PLC0415

    work_dir = WorkDir(Path(WORK_DIR.value))
    work_dir.settings()  # Before a folder is made for its lock.
    with work_dir.locked():
        judged = train_judge(work_dir, STEPS.value)
    print(
        f"judge: tells true maps of validation subjects from made ones with AUC {judged.auc:.3f} "
        f"(0.5 is chance), of {judged.images} images"
    )
    cli.tell(f"Next: python launch/evaluate.py --work_dir {WORK_DIR.value} --quality")
