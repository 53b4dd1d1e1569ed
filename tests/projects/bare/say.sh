# Without Python there is no MLflow here: what is logged of this run is what the launcher logs.
echo "$GREETING from $PWD, $WORDS, token $PROBE_TOKEN"
echo "tracking $MLFLOW_TRACKING_URI $MLFLOW_RUN_ID"
cat /data/given.txt
echo written >/data/written.txt
echo refused >/again/given.txt
exit "$1"
