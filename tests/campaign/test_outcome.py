"""The campaign's judge: what each end of a program counts as."""

import pytest

from tests.campaign.outcome import Ended, Outcome, count, judged

WARNED = "warning: s1: a.nii.gz: odd\n"


@pytest.mark.parametrize(
    ("status", "stderr", "same", "outcome"),
    [
        (0, "", True, Outcome.HARMLESS),
        (0, "", False, Outcome.SILENT),
        (0, WARNED, False, Outcome.WARNED),
        (0, WARNED.replace("s1: a", "s2: b"), False, Outcome.SILENT),
        (0, "bar: 100%\nwarn: s1", False, Outcome.SILENT),
        (1, "bar: 50%\rerror: a: b\n", True, Outcome.REFUSED),
        (1, "bar: 50%error: a: b\n", True, Outcome.TRACEBACK),
        (1, "", True, Outcome.TRACEBACK),
        (1, "Traceback (most recent call last)\nerror: a\n", True, Outcome.TRACEBACK),
        (-11, "error: a\n", True, Outcome.CRASH),
        (None, "", True, Outcome.HANG),
    ],
)
def test_bytes_words_and_status_decide(
    status: int | None, stderr: str, same: bool, outcome: Outcome
) -> None:
    assert judged(Ended(status, "", stderr), lambda: same, ("s1", "c.csv")).outcome is outcome


def test_a_small_share_holds_one_of_each_category() -> None:
    assert [count(60, share) for share in (1, 0.5, 0.02, 0.001)] == [60, 30, 1, 1]
