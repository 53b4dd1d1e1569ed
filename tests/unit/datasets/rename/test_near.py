"""Which class is suggested for a name that is none."""

import pytest
from trainer.datasets.names import DERMNET
from trainer.datasets.rename import near

SIGNS = ("Überholverbot", "Geschwindigkeit_30", "Geschwindigkeit_50", "Füchse", "große Hunde", "café")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("acne and rosacea photos", "Acne and Rosacea Photos"),
        ("Acne_and_Rosacea", "Acne and Rosacea Photos"),
        ("AcneAndRosacea", "Acne and Rosacea Photos"),
        ("Rosacea and Acne", "Acne and Rosacea Photos"),
        ("acne", "Acne and Rosacea Photos"),
        ("Ecezma", "Eczema Photos"),
        ("Systemic Diseases", "Systemic Disease"),
        ("vascular-tumor", "Vascular Tumors"),
        ("Psoriasis", "Psoriasis pictures Lichen Planus and related diseases"),
        ("nail funguss", "Nail Fungus and other Nail Disease"),
    ],
)
def test_the_class_that_a_person_would_mean(said: str, meant: str) -> None:
    assert near.suggestion(said, DERMNET).replace("'", "") == f"Did you mean {meant}?"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Ueberholverbot", "Überholverbot"),
        ("U\u0308berholverbot", "Überholverbot"),
        ("uberholverbot", "Überholverbot"),
        ("Fuechse", "Füchse"),
        ("Fuchs", "Füchse"),
        ("grosse hund", "große Hunde"),
        ("Hunde, große", "große Hunde"),
        ("Cafe", "café"),
        ("geschwindigkeit 50", "Geschwindigkeit_50"),
        ("Geschwindigkeit", "Geschwindigkeit_30 or Geschwindigkeit_50"),
    ],
)
def test_german_names(said: str, meant: str) -> None:
    assert near.suggestion(said, SIGNS).replace("'", "") == f"Did you mean {meant}?"


@pytest.mark.parametrize("said", ["zebra", "", "photos", "???", "\udcff"])
def test_a_name_like_none_of_them_gets_all_of_them(said: str) -> None:
    assert near.suggestion(said, SIGNS) == f"The classes are {', '.join(SIGNS)}."
