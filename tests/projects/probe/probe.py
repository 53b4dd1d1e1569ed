"""A training script that behaves, or misbehaves, as it is told."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path


def log_everything() -> None:
    """Something of every kind, with the chance to take the server away in between."""
    import mlflow
    import pandas
    from sklearn.linear_model import LinearRegression

    with mlflow.start_run() as run:
        mlflow.log_param("colour", "blue")
        for step in range(20):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        print("ready", flush=True)
        while not Path(os.environ["TRAINER_SPOOL"], "go").exists():
            time.sleep(0.05)
        for step in range(20, 40):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"nan": float("nan"), "inf": float("inf")}, synchronous=False).wait()
        mlflow.set_tags({"shape": "round", "gone": "soon"})
        mlflow.delete_tag("gone")
        mlflow.log_text("hello", "notes/hello.txt")
        table = pandas.DataFrame({"x": [1.0, 2.0, 3.0], "y": [2.0, 4.0, 6.0]})
        mlflow.log_input(mlflow.data.from_pandas(table, name="three", digest="abc123"), context="training")
        model = LinearRegression().fit(table[["x"]], table["y"])
        logged = mlflow.sklearn.log_model(
            model, name="model", pip_requirements=[], serialization_format="cloudpickle", params={"depth": 3}
        )
        with mlflow.start_run(nested=True, run_name="child"):
            mlflow.log_metric("inner", 7)
        assert mlflow.get_run(run.info.run_id).data.metrics["loss"] == 1 / 40
        assert mlflow.artifacts.load_text(run.info.artifact_uri + "/notes/hello.txt") == "hello"
        assert mlflow.sklearn.load_model(logged.model_uri).predict([[4.0]])[0] > 7
        print("all logged", flush=True)


mode = sys.argv[1]
print("mode", mode)
match mode:
    case "metric":
        import mlflow

        with mlflow.start_run():
            mlflow.log_metric("answer", 42)
    case "epochs":
        import mlflow

        state = Path(os.environ["TRAINER_CACHE_DIR"]) / "checkpoints" / os.environ["MLFLOW_RUN_ID"] / "state"
        state.parent.mkdir(parents=True, exist_ok=True)
        with mlflow.start_run():
            epoch = int(state.read_text()) if state.exists() else 0
            print("going on after epoch", epoch)
            while epoch < 4:
                if state.exists():  # again, as the same point
                    mlflow.log_metric("epoch", epoch, step=epoch, timestamp=int(state.stat().st_mtime * 1000))
                epoch += 1
                (state.parent / "state.tmp").write_text(str(epoch))
                (state.parent / "state.tmp").replace(state)
                mlflow.log_metric("epoch", epoch, step=epoch, timestamp=int(state.stat().st_mtime * 1000))
                print("epoch", epoch, flush=True)
                if epoch == 2 and "TRAINER_RESTARTS" not in os.environ:
                    print("ready", flush=True)
                    time.sleep(300)
        shutil.rmtree(state.parent)
    case "log":
        log_everything()
    case "gpu-memory":
        from trainkit.errors import show_input_errors

        show_input_errors()
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    case "exit":
        sys.exit(3)
    case "traceback":
        raise RuntimeError("as told")
    case "signal":
        os.kill(os.getpid(), signal.SIGSEGV)
    case "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    case "cut-off":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(300)
    case "memory":
        hoard = bytearray()
        while True:
            hoard += bytes(16 << 20)
    case "child-memory":
        subprocess.run([sys.executable, __file__, "memory"])
    case "sleep" | "stubborn":
        if mode == "stubborn":
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready", flush=True)
        try:
            time.sleep(300)
        finally:
            print("cleaned up")
    case "polite":
        signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
        print("ready", flush=True)
        time.sleep(300)
    case "nap":
        print("ready", flush=True)
        time.sleep(3)
    case "secret":
        print("the token is", os.environ["PROBE_TOKEN"])
        print(os.environ["PROBE_SETTING"])
        print("argv", Path("/proc/self/cmdline").read_bytes())
        time.sleep(1)
    case "output":
        sys.stdout.write("progress 1\rprogress 2\r")
        sys.stdout.flush()
        sys.stderr.write("to stderr\n")
        sys.stdout.buffer.write(b"not utf-8: \xff\xfe\n" + b"x" * 40_000 + b"\n")
    case "place":
        print("cwd", Path.cwd(), sorted(p.name for p in Path.cwd().iterdir()))
        print("uid", os.getuid(), "home", Path.home())
        for folder in (Path.home(), Path(os.environ["TRAINER_CACHE_DIR"]), Path.cwd()):
            (folder / "written").touch()
            (folder / "written").unlink()
        data = Path(os.environ["TRAINER_DATA_DIR"])
        try:
            (data / "written").touch()
        except OSError as problem:
            print("data:", problem.strerror)
