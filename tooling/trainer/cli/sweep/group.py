"""`trainer sweep`: with a project, search its parameters; with a command, look at a sweep."""

from __future__ import annotations

import click

from trainer.cli.commands import DefaultCommandGroup
from trainer.cli.examples import examples
from trainer.cli.sweep.show import show
from trainer.cli.sweep.start import start


class _Sweeps(DefaultCommandGroup):
    """A group that begins a sweep by itself."""

    default_name = "run"


@click.group(
    cls=_Sweeps,
    subcommand_metavar="PROJECT | FILE | COMMAND [ARGS]...",
    short_help="Search the parameters of a project.",
    epilog=examples(
        "trainer sweep sklearn --search max_depth=int:2,12 --search n_estimators=logint:10,300"
        " --trials 20 --metric accuracy:maximize",
        "trainer sweep sweep.yaml --parallel 2",
        "trainer sweep --resume 3f4c",
    ),
)
def sweep() -> None:
    """Run PROJECT again and again with other parameters, and find the best.

    Each trial is a run of its own, below one parent run. What is searched is said with --search:

    \b
      learning_rate=loguniform:1e-5,1e-2    a number, its logarithm being uniform
      dropout=uniform:0,0.5                 a number; with a step: uniform:0,0.5,0.1
      depth=int:2,8                         a whole number; logint:16,1024
      optimizer=adam,sgd                    one of these
      "momentum=uniform:0,0.9 if optimizer=sgd"

    The same command typed again goes on with a sweep that was cut off: no trial that has ended is run again.
    """


for _command in (start, show):
    sweep.add_command(_command)
