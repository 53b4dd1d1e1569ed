"""An MLflow tracking server with passwords, inside 512 MB: `python -m mlflow_server web | release | up`."""
