"""mlflow_tracking_server/ on a platform: Heroku by its own command, others by the files they want."""
