"""Proposes what to train on a record set within some minutes on this machine, and says why.

python launch/plan.py --records records/decathlon --minutes 60
python launch/train.py --plan plans/decathlon.toml
python launch/train.py --plan plans/decathlon.toml --line adversarial

Reads the manifest, measures training steps of growing networks and crops, and writes a plan: a
baseline, its adversarial partner and, where there are subjects without a label map, what uses them.
Each is to take the same minutes. The plan is a study file: launch/experiment.py compares its lines.
"""

from pathlib import Path

from absl import flags

from tfadv.programs import cli, early
from tfadv.programs.start import start_tensorflow
from tfrecords.errors import SettingError

RECORDS = flags.DEFINE_string("records", "records/demo_tumour", "Record set to train on.")
MINUTES = flags.DEFINE_float("minutes", 60, "How long each line is to train.", 0.5)
MEMORY_GB = flags.DEFINE_float("memory_gb", None, "What it may take. [what is free now]", 0.1)
OUT = flags.DEFINE_string("out", None, "Plan to write. [plans/RECORDS.toml]")


def main() -> None:
    early.require_there(early.RECORDS, Path(RECORDS.value))
    start_tensorflow()
    # Imported here, so that --help and wrong flags do not wait for TensorFlow.
    from tfadv.study.proposal import limits_of, propose, write  # noqa: PLC0415
    from tfrecords.reading.record_set import open_record_set  # noqa: PLC0415

    records = open_record_set(Path(RECORDS.value))
    out = Path(OUT.value or f"plans/{records.folder.resolve().name}.toml")
    if out.is_dir():
        raise SettingError("out", f"expected a file to write, received the folder {out}")
    out.parent.mkdir(parents=True, exist_ok=True)  # Before minutes of measuring.
    proposal = propose(records, limits_of(MINUTES.value, MEMORY_GB.value))
    write(out, proposal)
    print("\n".join(proposal.reasons))
    print(f"plan: {out}")
    cli.tell(f"Next: python launch/train.py --plan {out}")
