import pytest
from trainer.datasets.names import DERMNET, folded, tidy


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Acne and Rosacea Photos", "Acne_and_Rosacea"),
        ("Hair Loss Photos Alopecia and other Hair Diseases", "Hair_Loss_Alopecia_and_other_Hair_Diseases"),
        ("photos of ECZEMA PHOTOS", "of_ECZEMA"),
        ("Eczema_Photos", "Eczema"),
        ("Photosensitivity", "Photosensitivity"),
        ("Telephotos and Moles", "Telephotos_and_Moles"),
        ("a  \t b__c_ ", "a_b_c"),
        ("healthy_skins", "healthy_skins"),
        ("Photos", ""),
    ],
)
def test_the_word_photos_goes_and_blanks_become_underscores(name: str, plain: str) -> None:
    assert tidy(name) == plain


def test_a_tidy_name_is_left_as_it_is() -> None:
    assert [tidy(tidy(name)) for name in DERMNET] == [tidy(name) for name in DERMNET]


def test_there_are_23_classes_in_sorted_order_which_stay_different_and_sorted() -> None:
    assert len(DERMNET) == 23
    plain = [tidy(name) for name in DERMNET]
    assert list(DERMNET) == sorted(DERMNET)
    assert plain == sorted({folded(name): name for name in plain}.values())


def test_names_that_differ_in_case_or_in_how_an_accent_is_written_are_one() -> None:
    assert folded("N\u00e4vus") == folded("NA\u0308VUS")
    assert folded("a") != folded("b")
