"""Readings of the microscope as tables."""

import math

from tfadv.study import readings

HYBRID = {
    "gradients/adversarial/norm": 0.5,
    "gradients/adversarial/cosine": 0.25,
    "gradients/adversarial/towards_truth": math.nan,
    "gradients/entropy/norm": 2.0,
    "verdicts/discriminator/auc": 0.75,
}


def run(*scales: float) -> list[dict[str, float]]:
    """A reading for each, every hundred steps."""
    return [
        {"step": 100 * (number + 1), **{name: scale * value for name, value in HYBRID.items()}}
        for number, scale in enumerate(scales)
    ]


def test_lines_with_nothing_to_compare_are_left_out() -> None:
    alone = [{"step": 100, "gradients/entropy/norm": 1.0, "gradients/entropy/map_cosine": 1.0}]
    read = readings.of_lines([("plain", alone), ("hybrid", run(1.0)), ("short", [])])
    assert set(read["line"]) == {"hybrid"}
    assert set(read["of"]) == {"adversarial", "entropy", "discriminator"}
    assert readings.of_lines([("plain", alone)]).empty
    assert readings.of_lines([]).empty


def test_the_table_has_means_over_the_second_half_and_over_runs() -> None:
    read = readings.of_lines([("hybrid", run(9.0, 9.0, 1.0, 1.0)), ("hybrid", run(9, 9, 2, 2))])
    titles, rows = readings.table(read)
    assert titles[:3] == ["line", "term or judge", "gradient of the weights"]
    assert len(titles) == 2 + len(readings.NUMBERS)
    found = {row[1]: dict(zip(titles, row, strict=True)) for row in rows}
    assert found["adversarial"]["gradient of the weights"] == "0.75"
    assert found["adversarial"]["cosine to supervised"] == "0.375"
    assert found["adversarial"]["towards the truth"] == ""  # Nothing wrong moved.
    assert found["entropy"]["cosine to supervised"] == ""
    assert found["discriminator"]["AUC"] == "1.125"
