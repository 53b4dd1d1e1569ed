"""What the made-up classes look like: shape, number, colour and surface of their lesions.

They borrow from what the conditions look like, but no picture of them says anything about a real skin.
"""

from __future__ import annotations

from dataclasses import dataclass

from trainer.datasets.names import DERMNET, HEALTHY

Range = tuple[float, float]
RED, PINK, PURPLE, BROWN, DARK, PALE, YELLOW = (
    (0.86, 0.47, 0.45),
    (0.98, 0.70, 0.68),
    (0.66, 0.42, 0.56),
    (0.66, 0.52, 0.42),
    (0.36, 0.29, 0.29),
    (1.16, 1.16, 1.16),
    (1.02, 0.90, 0.58),
)


@dataclass(frozen=True)
class Appearance:
    """One class's lesions. Lengths are shares of the picture's side; the rest are strengths from 0 to 1."""

    count: tuple[int, int] = (1, 1)
    radius: Range = (0.05, 0.1)
    tint: tuple[float, float, float] = RED
    """What the skin's red, green and blue are multiplied by."""
    stretch: Range = (1.0, 1.3)
    """Length by width."""
    lobes: float = 0.05
    """How irregular the outline is."""
    softness: float = 0.15
    """Width of the border, as a share of the radius."""
    hollow: float = 0.0
    """Up to which share of its radius the lesion is clear skin."""
    rim: float = 0.0
    """A darker edge."""
    core: float = 0.0
    """A bright middle; a dark one where it is negative."""
    flecks: float = 0.0
    """White scales."""
    grain: float = 0.0
    """Dark and bright speckles."""
    relief: float = 0.0
    """How far it seems to stand out in the light."""
    spread: Range = (0.3, 0.45)
    """How far from their common middle the lesions lie."""
    hairs: tuple[int, int] = (0, 5)


_LOOKS = (
    # Acne: many small red pustules.
    Appearance((14, 24), (0.03, 0.055), RED, core=0.85, relief=0.25),
    # Actinic keratosis, basal cell carcinoma: a few rough, pearly patches with a crust.
    Appearance((2, 4), (0.12, 0.2), BROWN, lobes=0.2, rim=0.5, core=-0.4, flecks=0.6, grain=0.5, relief=0.2),
    # Atopic dermatitis: large, blurred, scratched areas.
    Appearance((4, 6), (0.13, 0.22), RED, lobes=0.3, softness=0.8, grain=0.7, stretch=(1.2, 2.2)),
    # Bullous disease: a few large, tense, glassy blisters.
    Appearance((2, 5), (0.08, 0.16), YELLOW, softness=0.1, rim=0.35, core=0.3, relief=0.8),
    # Cellulitis, impetigo: one large swelling with honey-coloured crusts.
    Appearance((1, 2), (0.24, 0.36), RED, lobes=0.18, softness=0.5, core=0.2, relief=0.3, spread=(0.05, 0.2)),
    # Eczema: one scaly plaque of papules that run into each other.
    Appearance((12, 24), (0.03, 0.07), RED, lobes=0.3, softness=0.5, flecks=0.6, spread=(0.12, 0.2)),
    # Exanthems: flat spots all over.
    Appearance((35, 60), (0.015, 0.035), PINK, lobes=0.25, softness=0.5, spread=(0.45, 0.5)),
    # Hair loss: a bald patch among hairs.
    Appearance((1, 2), (0.16, 0.28), PALE, softness=0.35, spread=(0.05, 0.2), hairs=(110, 160)),
    # Herpes: a tight group of vesicles on red ground.
    Appearance((9, 16), (0.025, 0.045), RED, rim=0.4, core=0.5, relief=0.7, spread=(0.07, 0.13)),
    # Disorders of pigmentation: pale, map-like areas with a sharp border.
    Appearance((3, 6), (0.1, 0.2), PALE, lobes=0.4, softness=0.08),
    # Lupus: discs, dark at the edge, pale and scaly within.
    Appearance((2, 4), (0.1, 0.17), PURPLE, hollow=0.55, softness=0.25, flecks=0.5),
    # Melanoma, moles: a dark, uneven spot.
    Appearance((1, 2), (0.07, 0.16), DARK, lobes=0.25, softness=0.2, grain=0.6),
    # Nail fungus: long, yellow, ridged plates.
    Appearance(
        (1, 1), (0.3, 0.4), YELLOW, (1.6, 2.0), 0.02, 0.05, rim=0.7, grain=0.8, spread=(0, 0.1), hairs=(0, 0)
    ),
    # Poison ivy: streaks of blisters.
    Appearance((4, 8), (0.06, 0.1), RED, (5.0, 8.0), 0.1, 0.3, core=0.3, relief=0.4),
    # Psoriasis: thick plaques covered by silvery scales.
    Appearance((2, 5), (0.1, 0.18), RED, lobes=0.15, softness=0.1, flecks=1.0, relief=0.3),
    # Scabies, bites: a few small papules with a dark point, each in a flush.
    Appearance((3, 7), (0.05, 0.08), PINK, softness=0.8, core=-0.9),
    # Seborrhoeic keratoses: brown, warty, as if stuck on.
    Appearance((4, 9), (0.05, 0.09), BROWN, (1.1, 1.7), 0.1, 0.06, rim=0.4, grain=1.0, relief=0.6),
    # Systemic disease: a net of violet lines.
    Appearance((7, 11), (0.1, 0.16), PURPLE, (1.0, 1.6), 0.15, 0.25, hollow=0.8),
    # Tinea: red rings with a clear middle.
    Appearance((1, 3), (0.13, 0.24), RED, lobes=0.06, softness=0.12, hollow=0.72, flecks=0.3, relief=0.2),
    # Urticaria: large pale wheals with a red seam, all over.
    Appearance((6, 11), (0.08, 0.14), PINK, (1.0, 1.8), 0.3, 0.12, rim=0.3, core=0.3, relief=0.6),
    # Vascular tumours: bright red, domed, glossy.
    Appearance((1, 4), (0.06, 0.14), (0.82, 0.16, 0.22), lobes=0.08, softness=0.08, relief=0.9),
    # Vasculitis: many small, dark violet dots.
    Appearance((30, 55), (0.012, 0.028), (0.5, 0.2, 0.3), softness=0.3, spread=(0.35, 0.45)),
    # Warts, molluscum: skin-coloured domes with a dent.
    Appearance((5, 12), (0.035, 0.06), (1.0, 0.92, 0.88), rim=0.4, core=-0.5, grain=0.3, relief=1.0),
)
# Class as downloaded → its look. Healthy skin may have a mole or some hairs.
LOOKS = {
    **dict(zip(DERMNET, _LOOKS, strict=True)),
    HEALTHY: Appearance((0, 1), (0.012, 0.02), DARK),
}
