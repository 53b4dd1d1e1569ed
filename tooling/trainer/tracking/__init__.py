"""MLflow's tracking servers by their REST API; nothing here knows of Docker or of processes."""
