"""What TensorBoard and trackers call a run's numbers: GROUP/NAME, so that like stands beside like.

dice/mean, dice/WT                           measures in validation
segmentor/adversarial, discriminator/true    what updates compute, by the player that learns
gradient_norm/segmentor, learning_rate/...   of every optimizer; loss_scale/... in float16
gradients/..., verdicts/...                  what the gradient microscope reads
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tfadv.evaluation import measures
from tfadv.loss_scaling import scales
from tfadv.methods.controls import SEGMENTOR
from tfadv.methods.verdicts import Likelihood
from tfadv.players import Players, Update
from tfrecords.names import MEAN

VALIDATED = "val_"  # The start of what validation logs.
SCALE = "loss_scale"  # Of every optimizer where networks compute in float16.
OF_OPTIMIZERS = ("gradient_norm", "learning_rate", SCALE)


class Chart(NamedTuple):
    """Curves that belong together: their tags, as regular expressions."""

    title: str
    tags: Sequence[str]


class Tags:
    """The tags of what a run with these players logs."""

    def __init__(self, players: Players) -> None:
        self.players = players
        self.computed: dict[str, str] = {}
        for update in players.schedule:
            group = _learner(update)
            for name in (*(term.name for term in update.terms), *update.observes):
                self.computed.setdefault(name, f"{group}/{name.removeprefix(f'{group}_')}")

    def __call__(self, name: str) -> str:
        """The tag of a number by its name in the history."""
        if name.startswith(VALIDATED):
            return _of_validation(name.removeprefix(VALIDATED))
        for kind in OF_OPTIMIZERS:
            if name.endswith(f"_{kind}"):
                return f"{kind}/{name.removesuffix(f'_{kind}')}"
        return self.computed.get(name, name)

    def of(self, values: Mapping[str, float]) -> dict[str, float]:
        return {self(name): value for name, value in values.items()}

    def charts(self) -> dict[str, list[Chart]]:
        """All players on charts of their own, by category."""
        schedule = self.players.schedule
        losses = dict.fromkeys(self(term.name) for update in schedule for term in update.terms)
        said = dict.fromkeys(
            self(name)
            for update in schedule
            for name, value in update.observes.items()
            if isinstance(value, Likelihood)
        )
        players = [Chart("losses of all players", [f"^{tag}$" for tag in losses])]
        if said:
            players.append(Chart("what judges say: true", [f"^{tag}$" for tag in said]))
        scaled = scales(self.players.optimizers)
        of_each = [kind for kind in OF_OPTIMIZERS if kind != SCALE or scaled]
        players += [Chart(kind.replace("_", " "), [f"^{kind}/"]) for kind in of_each]
        validated = [m for m in measures.MEASURES if m.every_epoch]
        return {
            "players": players,
            "validation": [Chart(m.title, [f"^{m.name}/"]) for m in validated],
            "what each term teaches": [
                Chart("gradient of the weights", ["^gradients/.*/norm$"]),
                Chart("share moved towards the truth", ["^gradients/.*/towards_truth$"]),
                Chart("cosine to surer maps", ["^gradients/.*/surer$"]),
                Chart("cosine to the supervised term", ["^gradients/.*/cosine$"]),
                Chart("judges' AUC", ["^verdicts/.*/auc$"]),
            ],
        }


def _learner(update: Update) -> str:
    """The player that an update is for: the segmentor, the only judge, or what judges share."""
    if SEGMENTOR in update.trains:
        return SEGMENTOR
    return next(iter(update.trains)) if len(update.trains) == 1 else update.name


def _of_validation(name: str) -> str:
    """ "dice_WT" as "dice/WT", "dice" as "dice/mean"; the longest of the measures' names counts."""
    measure = max((m for m in measures.names() if f"{name}_".startswith(f"{m}_")), key=len)
    return f"{measure}/{name.removeprefix(measure).removeprefix('_') or MEAN}"
