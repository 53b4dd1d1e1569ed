"""A job's output on a screen."""

from shown import Shown
from trainer.masking import Masker
from trainer.runs.launch.follow import show
from trainkit import live


def test_what_a_run_says_of_its_progress_is_shown_and_not_printed() -> None:
    said = live.START + b"5;fit\tepoch 1/2, key hunter22" + live.END
    screen = Shown()
    show(Masker(["hunter22"]).stream([b"one\n" + said[:9], said[9:] + b"tw", b"o\n"]), screen)
    assert screen.printed == b"one\ntwo\n"
    assert screen.parts == ["fit epoch 1/2, key ***"]


def test_what_a_run_printed_last_is_shown_though_it_is_no_whole_sequence() -> None:
    screen = Shown()
    show([b"text", live.START + b"5;fi"], screen)
    assert screen.printed == b"text" + live.START + b"5;fi"
