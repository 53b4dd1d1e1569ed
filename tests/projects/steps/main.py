"""A pipeline of the usual kind: it chooses server and experiment, and an environment for each step."""

import mlflow

mlflow.set_tracking_uri("http://somebody:hunter2@127.0.0.1:5000")
mlflow.set_experiment("somewhere else")

with mlflow.start_run():
    for number, manager in enumerate((None, "virtualenv", "conda", "uv")):
        step = mlflow.run(".", "prepare", parameters={"rows": number}, env_manager=manager)
        print("step", manager, step.get_status(), mlflow.get_run(step.run_id).data.metrics)
    try:
        mlflow.run(".", "breaks")
    except mlflow.exceptions.ExecutionException as problem:
        print("broke", problem)
    cleaning = mlflow.projects.run("clean", synchronous=False, env_manager="conda")
    print("cleaned", cleaning.wait(), cleaning.get_status())

# The run of this script has ended, and nobody waits for this step.
mlflow.run(".", "prepare", parameters={"rows": 9}, synchronous=False)
