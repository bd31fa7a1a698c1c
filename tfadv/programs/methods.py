"""Lists the named methods, or prints one method's card.

python launch/methods.py
python launch/methods.py kohl_hybrid --channels 3 --classes 4
"""

from absl import flags

from tfadv.programs import early
from tfadv.programs.start import start_tensorflow

CHANNELS = flags.DEFINE_integer("channels", 4, "Modalities of the images.", 1)
CLASSES = flags.DEFINE_integer("classes", 4, "Maps of the output: classes, or regions.", 1)
PRESET = flags.DEFINE_enum("preset", "paper", ["paper", "small"], "Whose values the card shows.")
HP = flags.DEFINE_multi_string("hp", [], "One hyperparameter: --hp.name=value. Repeatable. [none]")


def main(names: list[str]) -> None:
    for name in names:
        early.require_method(name)
    start_tensorflow()
    # Imported here, so that --help and wrong flags do not wait for TensorFlow.
    from tfadv import methods  # noqa: PLC0415
    from tfadv.methods.card import card  # noqa: PLC0415

    if not names:
        for name, method in methods.all_methods().items():
            print(f"{name:28} {method.summary}")
    for name in names:
        configured = methods.get(name).configure(PRESET.value, HP.value)
        maps = [f"map_{number}" for number in range(CLASSES.value)]
        print(card(configured, configured.players(CHANNELS.value, maps)))
