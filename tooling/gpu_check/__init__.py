"""The GPU check: what a few minutes on a bare machine with a card can answer, in one JSON and one page."""
