"""Names of classes: DermNet's, and the rule that makes plain names of downloaded ones."""

from __future__ import annotations

import re
import unicodedata

HEALTHY = "healthy_skins"
# The folders of the DermNet image set as they are downloaded.
DERMNET = (
    "Acne and Rosacea Photos",
    "Actinic Keratosis Basal Cell Carcinoma and other Malignant Lesions",
    "Atopic Dermatitis Photos",
    "Bullous Disease Photos",
    "Cellulitis Impetigo and other Bacterial Infections",
    "Eczema Photos",
    "Exanthems and Drug Eruptions",
    "Hair Loss Photos Alopecia and other Hair Diseases",
    "Herpes HPV and other STDs Photos",
    "Light Diseases and Disorders of Pigmentation",
    "Lupus and other Connective Tissue diseases",
    "Melanoma Skin Cancer Nevi and Moles",
    "Nail Fungus and other Nail Disease",
    "Poison Ivy Photos and other Contact Dermatitis",
    "Psoriasis pictures Lichen Planus and related diseases",
    "Scabies Lyme Disease and other Infestations and Bites",
    "Seborrheic Keratoses and other Benign Tumors",
    "Systemic Disease",
    "Tinea Ringworm Candidiasis and other Fungal Infections",
    "Urticaria Hives",
    "Vascular Tumors",
    "Vasculitis Photos",
    "Warts Molluscum and other Viral Infections",
)
# "photos" as a word of its own; unlike for \b, an underscore ends a word.
_PHOTOS = re.compile(r"(?<![^\W_])photos(?![^\W_])", re.IGNORECASE)


def tidy(name: str) -> str:
    """`Hair Loss Photos Alopecia` → `Hair_Loss_Alopecia`: no word "photos", and "_" for blanks.

    Empty for a name that is nothing but "photos".
    """
    return re.sub(r"[\s_]+", "_", _PHOTOS.sub(" ", name)).strip("_")


def folded(name: str) -> str:
    """The same for names that a file system without case (macOS, Windows) takes for one."""
    # Decomposed before and after, as Unicode's "canonical caseless matching" says: folding may undo it.
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
