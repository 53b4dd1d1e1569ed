"""A command whose options are its own and the parameters of the project that it is given."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from trainer.cli.context import global_option
from trainer.cli.diagnostics import DiagnosticOption
from trainer.cli.runs.project.options import PREFIX, PROJECT, option, variable
from trainer.errors import InvalidInput, TrainerError
from trainer.plan import parameter_values, seeding
from trainer.projects import mlproject, sources
from trainer.projects.mlproject import EntryPoint, Project
from trainer.workspace.settings import find

if TYPE_CHECKING:
    from trainer.runs.like import EarlierRun

# Where the command finds, in `ctx.meta`, the source that the project came from.
SOURCE = "trainer.source"
# And the run that is named with --like, if one is.
LIKE = "trainer.like"
# And what of it is trained further, where it is named with --warm-start.
WARM_START = "trainer.warm_start"


class ProjectCommand(click.Command):
    """A command whose options are its own and the parameters of the project it is given."""

    seeds_project = True
    """Whether its --seed is that of a run: what a project's parameter `seed` is, too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find the project among the arguments first, then parse them with its parameters as options."""
        try:
            with _named(ctx):
                project_found = self._find(ctx, args)
                if project_found:
                    ctx.meta[PROJECT] = project_found
                return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            ctx.close()  # what was fetched is not left behind; click itself closes contexts that were used
            name = error.option_name
            is_known = PROJECT in ctx.meta and not global_option(ctx, name)
            if is_known and not ctx.resilient_parsing and name.startswith("--"):
                project, entry_point = ctx.meta[PROJECT]
                own = [name for parameter in self.params for name in parameter.opts if name.startswith("--")]
                raise self.no_such(project, entry_point, name, own) from None
            raise
        except BaseException:
            ctx.close()
            raise

    def invoke(self, ctx: click.Context) -> object:
        """Call it; a failure names a fetched project by its URL."""
        with _named(ctx):
            return super().invoke(ctx)

    def no_such(
        self, project: Project, entry_point: EntryPoint, name: str, own: Sequence[str]
    ) -> InvalidInput:
        """The error for an option that is neither one of its `own` nor a parameter of the project."""
        return parameter_values.unknown_parameter(project, entry_point, name, own)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own options and the project's parameters.

        An option of ours hides a parameter of that name; but a project's `seed` is what a run's --seed means.
        """
        own = self.own_params(ctx)
        _, entry_point = ctx.meta.get(PROJECT, (None, None))
        parameters = entry_point.parameters if entry_point else ()
        if entry_point and self.seeds_project and seeding.is_declared(entry_point):
            own = [parameter for parameter in own if parameter.name != seeding.PARAMETER]
        declared = {parameter.option for parameter in parameters}
        own = [
            option
            for option in own
            if not isinstance(option, DiagnosticOption) or declared.isdisjoint(option.opts)
        ]
        taken = {name for parameter in own for name in parameter.opts}
        return [*own, *(option(parameter) for parameter in parameters if parameter.option not in taken)]

    def own_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Those that the command has whatever the project is."""
        return super().get_params(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The project's parameters, or the workspace's projects, above the options of `trainer run`."""
        groups: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record and isinstance(parameter, click.Option):
                groups[(parameter.name or "").startswith(PREFIX)].append(record)
        if PROJECT in ctx.meta:
            project, entry_point = ctx.meta[PROJECT]
            shown = {parameter.name for parameter in self.get_params(ctx)}
            hidden = [parameter for parameter in entry_point.parameters if variable(parameter) not in shown]
            _section(
                formatter,
                f"Parameters of {project.name}, entry point {entry_point.name}",
                [*groups[True], *((f"-P {parameter.name}=VALUE", parameter.help) for parameter in hidden)],
                "Any: -P NAME=VALUE" if entry_point.takes_any else "None.",
            )
        else:
            with contextlib.suppress(TrainerError):
                _section(
                    formatter,
                    "Projects of this workspace",
                    [(name, "") for name in sources.names(find())],
                    "None. Make one: trainer new NAME --template minimal",
                )
        with formatter.section("Options"):
            formatter.write_dl(groups[False])

    def _find(self, ctx: click.Context, args: list[str]) -> tuple[Project, EntryPoint] | None:
        """The project and entry point that the arguments name; None if they name none.

        While completing, whatever is wrong is no error. A git URL is fetched for a real run alone.
        """
        try:
            name, version, _, like, warm = self._look_for(ctx, args)
            earlier = _earlier(ctx, like, warm)
            is_left_out = earlier is not None and (not name or name.startswith("-"))
            if earlier and is_left_out:
                name = earlier.project(find())
                ctx.default_map = {**(ctx.default_map or {}), "project": name}
            if name is None or (not name and "" not in args):
                return None
            if global_option(ctx, name):
                raise click.NoSuchOption(name, ctx=ctx)
            if name.startswith("-"):
                raise InvalidInput(
                    f"{name} stands where the project should.", "trainer run PROJECT --PARAMETER VALUE"
                )
            revision = version if sources.is_remote(name) else None
            source = sources.resolve(find(), name, revision, fetch=not ctx.resilient_parsing)
            ctx.call_on_close(source.close)
            ctx.meta[SOURCE] = source
            project = mlproject.load(source.folder)
            # Again, now with every parameter it may have: the `-e` of `--text -e` is a value, not our option.
            every = {p.name: p for entry in project.entry_points for p in entry.parameters}
            ctx.meta[PROJECT] = project, EntryPoint("", "", tuple(every.values()))
            later, version, entry_point, *_ = self._look_for(ctx, args)
            if earlier and not entry_point:
                entry_point = earlier.record.entry_point
            found = project, project.entry_point(entry_point or "main")
            if is_left_out and later:
                ctx.meta[PROJECT] = found
                raise _after_options(ctx, later, f"--like {like}" if like else f"--warm-start {warm}")
            if version and not sources.is_remote(name):
                sources.resolve(find(), name, version)  # which says so
            return found
        except TrainerError:
            if ctx.resilient_parsing:
                return None
            raise

    def _look_for(self, ctx: click.Context, args: list[str]) -> tuple[str | None, ...]:
        """Project, --version, --entry-point, --like and --warm-start, whatever else the arguments are."""
        parser = self.make_parser(ctx)
        parser.ignore_unknown_options = True
        try:
            # The last may be the value of a parameter that is not yet known: the `-e` of `--text -e`.
            values, _, _ = parser.parse_args([*args, ""])
        except click.UsageError:
            return None, None, None, None, None  # the parser proper will say what is wrong
        if args and not args[0].startswith("-"):
            values["project"] = args[0]
        named = (values.get(name) for name in ("project", "version", "entry_point", "like", "warm_start"))
        return tuple(value if isinstance(value, str) else None for value in named)


def _earlier(ctx: click.Context, like: str | None, warm: str | None) -> EarlierRun | None:
    """The run that is named with --like or --warm-start, whose options become the defaults.

    Completion asks no server.
    """
    if ctx.resilient_parsing or not (like or warm):
        return None
    from trainer.runs import like as use_case

    if like and warm:
        raise InvalidInput(
            "--like and --warm-start both name the run that parameters are of.", "--warm-start does for both."
        )
    if warm:
        earlier, ctx.meta[WARM_START] = use_case.find_with_model(find(), warm)
    else:
        earlier = use_case.find(find(), like or "")
    ctx.meta[LIKE] = earlier
    ctx.default_map = dict(earlier.options)
    return earlier


def _after_options(ctx: click.Context, text: str, earlier: str) -> click.NoSuchOption | InvalidInput:
    """The error for what the parser takes for the project, which was left out beside the `earlier` run."""
    if text.startswith("-") and text.strip("-"):
        return click.NoSuchOption(text.partition("=")[0], ctx=ctx)
    return InvalidInput(f"{text} stands after the options.", f"trainer run {text} {earlier} …")


@contextlib.contextmanager
def _named(ctx: click.Context) -> Iterator[None]:
    """Within: a failure names a fetched project by its URL, from when it has been fetched."""
    try:
        yield
    except TrainerError as error:
        if SOURCE in ctx.meta:
            ctx.meta[SOURCE].name_in(error)
        raise


def _section(formatter: click.HelpFormatter, title: str, rows: list[tuple[str, str]], otherwise: str) -> None:
    with formatter.section(title):
        if rows:  # click refuses to write an empty list
            formatter.write_dl(rows)
        else:
            formatter.write_text(otherwise)
