"""Measures what a method costs here: time and peak memory of one training step and one volume.

python launch/measure.py --method reciprocal --records records/brats --hp.width=8

Nothing is trained or written. Choose crop size, width and batch size with it before a long run. It
prints a table that says what it was measured on, to be sent to whoever asks.
"""

from pathlib import Path

from absl import flags

from tfadv.programs import early
from tfadv.programs.start import start_tensorflow

METHOD = flags.DEFINE_string("method", None, "See launch/methods.py. [required]", required=True)
RECORDS = flags.DEFINE_string("records", "records/demo_tumour", "Record set to measure on.")
PRESET = flags.DEFINE_enum(
    "preset", "paper", ["paper", "small"], "The paper's values, or ones that fit a CPU."
)
HP = flags.DEFINE_multi_string("hp", [], "One hyperparameter: --hp.name=value. Repeatable. [none]")
REPETITIONS = flags.DEFINE_integer("repetitions", 3, "Whose median is told.", 1)


def main() -> None:
    early.require_method(METHOD.value)
    early.require_there(early.RECORDS, Path(RECORDS.value))
    start_tensorflow()
    # Imported here, so that --help and wrong flags do not wait for TensorFlow.
    from tfadv import methods  # noqa: PLC0415
    from tfadv.run.environment import environment  # noqa: PLC0415
    from tfadv.run.run import Run  # noqa: PLC0415
    from tfadv.run.split import to_measure  # noqa: PLC0415
    from tfadv.training import cost  # noqa: PLC0415
    from tfrecords.reading.record_set import open_record_set  # noqa: PLC0415

    method = methods.get(METHOD.value).configure(PRESET.value, HP.value)
    records = open_record_set(Path(RECORDS.value))
    run = Run.new(method, records, to_measure(records.manifest))
    chosen = " ".join([f"--preset {PRESET.value}", *(f"--hp.{value}" for value in HP.value)])
    rows = {**environment(), "method": f"{method.name} {chosen}"}
    print("| measured | |\n|---|---|")
    for title, text in rows.items():
        print(f"| {title} | {text} |")
    # The cheaper one first: a process' peak never falls.
    found, shape = cost.inference_cost(run, REPETITIONS.value)
    print(f"| volume of {'x'.join(map(str, shape))} | {found} |", flush=True)
    step = cost.step_cost(run, REPETITIONS.value)
    print(f"| training step, batch {method.batch_size}, {method.precision} | {step} |")
