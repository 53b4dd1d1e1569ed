"""What the MLflow UI says of a run that trainer started."""

from dataclasses import replace
from pathlib import Path

from trainer.plan.run_plan import RunPlan
from trainer.runs.ui import description

from unit.helpers import run_plan


def planned(source: str = "train_code/demo", entry_point: str = "main", **parameters: str) -> RunPlan:
    plan = run_plan(Path("/w"), parameters=parameters)
    origins = {name: "default" if name == "left" else "command line" for name in parameters}
    return replace(
        plan,
        code=replace(plan.code, source=source, entry_point=entry_point),
        inputs=replace(plan.inputs, origins=origins),  # type: ignore[arg-type]
    )


def command(plan: RunPlan) -> str:
    text = description.of(plan, plan.inputs.parameters, "3f2a1b9c77ab01d2")
    assert "`trainer reproduce 3f2a1b9c`" in text
    return text.split("\n\n")[0]


def test_the_command_has_what_the_user_chose() -> None:
    assert command(planned()) == "```sh\ntrainer run demo\n```"
    plan = planned("https://example.com/a.git#b", "strict", left="1", rate="0.1", word="it's a 'b'")
    assert command(plan) == (
        "```sh\ntrainer run 'https://example.com/a.git#b' -e strict -P rate=0.1 "
        """-P 'word=it'"'"'s a '"'"'b'"'"''\n```"""
    )


def test_a_value_does_not_end_the_code_block() -> None:
    assert command(planned(word="```\n# Title")).startswith(
        "````sh\ntrainer run demo -P 'word=```\n# Title'\n````"
    )
