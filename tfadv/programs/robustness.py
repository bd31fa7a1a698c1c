"""Dice of trained runs on degraded test subjects: a table, robustness.csv and a picture.

python launch/robustness.py runs/kohl_cross_entropy runs/kohl_hybrid

Segments every test subject as it is and degraded, each run on the same images:

    noise       Gaussian; standard deviation 0.1, 0.2 and 0.4 of the modality's
    bias_field  a smooth gain from exp(-s) to exp(s); s = 0.2, 0.4 and 0.8
    blur        Gaussian; sigma 0.5, 1 and 2 mm

With --adversarial_steps, each run also at the worst that projected gradient ascent finds for it:

    adversarial_rms  root mean square 0.02, 0.05 and 0.1 of the modality's standard deviation
    adversarial_max  no voxel changed by more than that

The runs must have one record set and the same test folds. Those that differ in their seed alone, as
a study's do, are one line: of the table, their mean and range.
"""

from pathlib import Path

from absl import flags

from tfadv.programs import early
from tfadv.programs.start import start_tensorflow
from tfrecords.errors import UserError

STEPS = flags.DEFINE_integer(
    "adversarial_steps",
    0,
    "Of each ascent on the worst perturbation, twelve to a subject; a step costs about four "
    "predictions. 0 for none.",
    0,
)
SUBJECTS = flags.DEFINE_integer(
    "subjects",
    None,
    "Of this many test subjects, spread over the record set's order: a worst case of "
    "--adversarial_steps=5 takes about half a minute of a core for a subject and run. [all]",
    1,
)
OUT_DIR = flags.DEFINE_string("out_dir", "comparisons/robustness", "Folder to write.")


def main(folders: list[str]) -> None:
    if not folders or len(set(map(Path, folders))) != len(folders):
        raise UserError(f"expected different runs, WORK_DIR [WORK_DIR ...], received {folders}")
    early.require_there(early.RUN, *map(Path, folders))
    start_tensorflow()
    # Imported here, so that --help and wrong flags do not wait for TensorFlow.
    from tfadv.evaluation import robustness  # noqa: PLC0415
    from tfadv.run.work_dir import WorkDir  # noqa: PLC0415

    work_dirs = [WorkDir(Path(folder)) for folder in folders]
    scores = robustness.measure(work_dirs, STEPS.value, SUBJECTS.value)
    print(robustness.describe(scores))
    for path in robustness.write(scores, Path(OUT_DIR.value)):
        print(path)
