"""What other tools call what our commands do, for who tries that."""

from __future__ import annotations

_DELETE = "trainer runs delete RUN; unused files, images and containers: trainer gc"
# By the group that the name was given to.
_OURS = {
    "trainer": {
        **dict.fromkeys(("create", "add"), "trainer new NAME"),
        **dict.fromkeys(("start", "train", "launch", "fit"), "trainer run PROJECT"),
        "build": "trainer build-image NAME",
        "status": "Live runs: trainer ps; the tracking server: trainer server status",
        "top": "trainer ps",
        **dict.fromkeys(("list", "ls", "history", "experiments"), "trainer runs"),
        **dict.fromkeys(("inspect", "describe", "info"), "trainer show RUN"),
        **dict.fromkeys(("exec", "bash", "sh", "ssh"), "trainer shell PROJECT"),
        "diff": "trainer compare RUN RUN",
        **dict.fromkeys(("log", "tail", "output"), "trainer logs RUN"),
        **dict.fromkeys(("watch", "follow"), "trainer attach RUN"),
        **dict.fromkeys(("kill", "cancel", "abort"), "trainer stop RUN"),
        **dict.fromkeys(("restart", "continue"), "trainer resume RUN"),
        **dict.fromkeys(("rerun", "repeat", "repro"), "trainer reproduce RUN"),
        **dict.fromkeys(("rm", "delete", "remove"), _DELETE),
        "rename": "trainer runs rename RUN NAME",
        "restore": "trainer runs restore RUN",
        "tag": "trainer runs tag RUN KEY=VALUE",
        **dict.fromkeys(("prune", "clean", "cleanup"), "trainer gc"),
        **dict.fromkeys(("get", "pull", "fetch"), "trainer download RUN"),
        **dict.fromkeys(("push", "upload"), "trainer sync"),
        **dict.fromkeys(("web", "browse", "dashboard"), "trainer ui"),
        **dict.fromkeys(("up", "serve"), "trainer server up"),
        "down": "trainer server down",
        "deploy": "trainer server deploy --platform PLATFORM",
        **dict.fromkeys(("check", "diagnose"), "trainer doctor"),
        **dict.fromkeys(("login", "connect"), "trainer server connect URL"),
        "version": "trainer --version",
        "help": "trainer --help",
    },
    "trainer runs": {
        **dict.fromkeys(("rm", "del", "remove"), "trainer runs delete RUN"),
        **dict.fromkeys(("undelete", "recover"), "trainer runs restore RUN"),
        **dict.fromkeys(("mv", "move"), "trainer runs rename RUN NAME"),
        **dict.fromkeys(("label", "note", "set"), "trainer runs tag RUN KEY=VALUE"),
        **dict.fromkeys(("show", "inspect", "describe", "get"), "trainer show RUN"),
        **dict.fromkeys(("diff", "compare"), "trainer compare RUN RUN"),
        "ls": "trainer runs list",
        "logs": "trainer logs RUN",
    },
    "trainer images": {
        **dict.fromkeys(("create", "init"), "trainer images new NAME"),
        "build": "trainer build-image NAME",
        **dict.fromkeys(("install", "lock", "compile"), "trainer images add NAME PACKAGE"),
        **dict.fromkeys(("ls", "show"), "trainer images list"),
        **dict.fromkeys(("prune", "rm"), "Images of earlier inputs: trainer gc"),
    },
    "trainer server": {"start": "trainer server up", "stop": "trainer server down"},
}


def ours(group: str, name: str) -> str | None:
    """The command of ours that `group`, as `trainer server`, has in the place of `name`."""
    return _OURS.get(group, {}).get(name)
