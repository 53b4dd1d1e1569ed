"""Run by Python in a container of a run's image: asks the tracking server as the run will.

`python ask_server.py FILE`, where FILE holds the address, the way there and who one is, as JSON. With
`requests`, which MLflow's client uses too: it trusts the same certificates and takes the same proxies.
"""

import json
import os
import signal
import sys
from pathlib import Path

signal.alarm(8)  # a name server that hangs is under no time-out of a socket
asked = json.loads(Path(sys.argv[1]).read_text())
os.environ.update(asked["environment"])
try:
    import requests
except ImportError:
    sys.exit(3)  # then a run cannot use MLflow's client either, and does not mean to
session = requests.Session()
if asked["username"]:
    session.auth = (asked["username"], asked["password"] or "")
elif asked["token"]:
    session.headers["Authorization"] = f"Bearer {asked['token']}"
is_checked = "MLFLOW_TRACKING_INSECURE_TLS" not in os.environ
authority = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") if is_checked else False
try:
    answer = session.get(asked["url"], timeout=(7, 7), allow_redirects=False, verify=authority)
except requests.RequestException as problem:
    said: dict[str, object] = {
        "kinds": [kind.__name__ for kind in type(problem).__mro__],
        "text": str(problem),
    }
else:
    said = {"status_code": answer.status_code, "reason": answer.reason, "text": answer.text[:300]}
sys.stdout.write(json.dumps(said))
