"""What a training says before its first step."""

from absl import logging

from tfadv.adversarial import AdversarialModel
from tfadv.methods.card import counted
from tfadv.networks.normalisation import BatchNormalization
from tfadv.run.initial import FirstWeights
from tfadv.run.run import Run
from tfadv.run.split import positive_subjects
from tfrecords.reading.streams import tell_of_favoured


def announce(run: Run, model: AdversarialModel) -> None:
    """The method, its networks, and the subjects of each use, with what is odd about them."""
    settings, manifest = run.settings, run.manifest
    counts = "; ".join(f"{n} {counted(k)}" for n, k in model.players.networks.items())
    logging.info("%s: %s. Parameters: %s.", run.method.name, run.method.summary, counts)
    for remark in run.method.remarks(manifest):
        logging.warning("%s", remark)
    if run.method.accumulation > 1:
        tell_of_parts(run, model)
    subjects = run.subjects
    folds = ", ".join(settings.training_folds)
    logging.info("training: %d subjects (folds %s)", len(subjects), folds)
    recipe = run.method.recipe(manifest)
    if recipe.favoured:
        shards = manifest.select(recipe.view.kind, settings.training_folds)
        tell_of_favoured(shards, subjects, recipe.favoured)
    if settings.positive_fraction < 1:
        everyone = positive_subjects(manifest, settings.training_folds)
        kept = sum(name in subjects for name in everyone)
        group = manifest.groups[0]
        logging.info("of group %s, %d of %d subjects train", group, kept, len(everyone))
    if run.unlabelled_subjects:
        logging.info("without their label maps: %d subjects train", len(run.unlabelled_subjects))
    for use, held_out in (
        ("validation", settings.validation_folds),
        ("test", settings.test_folds),
    ):
        number = sum(subject.fold in held_out for subject in manifest.subjects)
        logging.info("%s: %d subjects (folds %s)", use, number, ", ".join(held_out))
    if settings.test_folds == settings.validation_folds:
        logging.info(
            "the same subjects choose the epoch and test it: the scores will be optimistic"
        )


def tell_of_parts(run: Run, model: AdversarialModel) -> None:
    """Warns where parts of a minibatch are not what the whole one would be."""
    batch, parts = run.method.batch_size, run.method.accumulation
    for name, network in model.players.networks.items():
        if any(isinstance(layer, BatchNormalization) for layer in network._flatten_layers()):
            logging.warning(
                "%s: its batch normalisation sees %d examples at once (--hp.accumulation=%d), not "
                "the minibatch of %d",
                name,
                batch // parts,
                parts,
                batch,
            )


def tell_of_seen(run: Run, first: FirstWeights) -> None:
    """Warns of held-out subjects that are not new to the weights that a run begins with."""
    held_out = {*run.settings.validation_folds, *run.settings.test_folds}
    subjects = [subject for subject in run.manifest.subjects if subject.fold in held_out]
    seen = sum(subject.fingerprint in first.trained for subject in subjects)
    if seen:
        logging.warning(
            "%s was trained on %d of the %d subjects that validate and test: their scores will be "
            "optimistic",
            first.source,
            seen,
            len(subjects),
        )
