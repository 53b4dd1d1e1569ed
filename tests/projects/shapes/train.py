import sys
from pathlib import Path

import mlflow

mlflow.set_experiment("shapes of somebody")
with mlflow.start_run():
    mlflow.log_metric("rows", len(Path(sys.argv[1]).read_text().splitlines()))
print("given", sys.argv[2:])
