"""The search itself, which is Optuna's."""
