"""The journal on disk that MLflow's calls in a run go to first, and its delivery to the tracking server."""
