"""Commands that work for long: their settings are kept with what they write and taken back, or shown beforehand."""

import difflib
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from toolkit.cli.grouped import GroupedCommand, GroupedOption
from toolkit.cli.options import commas
from toolkit.errors import ToolkitError
from toolkit.files import atomic_write_bytes, read_bytes
from toolkit.sealed import CONFIG

_COMMAND = "command"
_NOT_KEPT = ("overwrite", "as_json", "resume", "extend", "extend_lr", "scheduler")
"""Options on how one call goes, which are no settings of what is made."""
_GIVEN, _DRY, _SETTLED, _FILED = (f"{__name__}.{name}" for name in ("given", "dry", "settled", "filed"))
Plan = Callable[..., Iterable[str]]


class LongCommand(GroupedCommand):
    """Command with --config and --dry-run, whose settings are kept with its output, the option -o."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._plan: Plan | None = None
        self.params += [
            GroupedOption(
                ["--config"],
                type=click.Path(path_type=Path),
                is_eager=True,
                expose_value=False,
                callback=_take_back,
                help="Settings of an earlier run; the line wins.",
            ),
            GroupedOption(
                ["--dry-run"],
                is_flag=True,
                expose_value=False,
                callback=lambda context, parameter, value: context.meta.update({_DRY: value}),
                help="Print the settings and the plan; write nothing.",
            ),
        ]

    def planned(self, plan: Plan) -> Plan:
        """Decorator of a function that takes the command's parameters and yields lines on what would be done."""
        self._plan = plan
        return plan

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args:  # the words as they were given: what callbacks make of them cannot be given again
            ctx.meta[_GIVEN], _, _ = self.make_parser(ctx).parse_args(args=list(args))
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        output = _output(self)
        if ctx.meta.pop(_DRY, False):
            lines = [*(self._plan(**ctx.params) if self._plan else ()), *_sizes(self, ctx, output)]
            click.echo(_text(ctx).decode(errors="surrogateescape"))
            return click.echo("\n".join(lines))
        path: Path = ctx.params[output]
        new, finished = not path.exists(), False
        try:
            result = super().invoke(ctx)
            finished = True
        finally:  # a run that was stopped has its settings too; what stood there before, and was refused, does not
            found = path.rglob("*") if path.is_dir() else [path]
            written = any(own.is_file() and own.name != "lock" for own in found)
            if (finished or new) and written:
                _keep(ctx)
        return result


def _keep(ctx: click.Context) -> None:
    """Write the settings of a call beside what it has written; a resumed run keeps those that it was begun with."""
    path: Path = ctx.params[_output(ctx.command)]
    if not ctx.params.get("resume"):
        atomic_write_bytes(path / CONFIG if path.is_dir() else path.with_name(f"{path.name}.{CONFIG}"), _text(ctx))


def keeping(ctx: click.Context, begun: Path) -> Callable[[], None]:
    """Function for a command to call as it works: keeps its settings as soon as `begun`, its first file, is there.

    So they are there too where the command is killed later. Calls after that do nothing.
    """
    kept = False

    def look() -> None:
        nonlocal kept
        if not kept and begun.exists():
            _keep(ctx)
            kept = True

    return look


def settle(ctx: click.Context, **values: Any) -> None:
    """Replace settings by those that a command has settled on, such as the options of a recipe."""
    ctx.meta[_SETTLED] = values


def from_file(ctx: click.Context, name: str) -> bool:
    """Whether a parameter has its value from the file of --config."""
    return ctx.get_parameter_source(name) is ParameterSource.DEFAULT_MAP


def _text(ctx: click.Context) -> bytes:
    """The settings of a call as TOML, every one that has a value, in the order of the command's help."""
    import tomli_w

    settled = ctx.meta.get(_SETTLED, {})
    document: dict[str, Any] = {_COMMAND: _words(ctx)}
    for parameter in _kept(ctx.command):
        name = str(parameter.name)
        value = _lasting(parameter, _typed(parameter, settled[name]) if name in settled else _raw(ctx, parameter))
        if value is not None:
            document[_key(parameter)] = value
    return tomli_w.dumps(document).encode(errors="surrogateescape")


def _typed(parameter: click.Parameter, value: Any) -> Any:
    """A list of an option with commas, as text."""
    return commas(tuple(value)) if isinstance(value, tuple | list) and not _several(parameter) else value


def _several(parameter: click.Parameter) -> bool:
    """Whether a parameter takes a list of words."""
    return parameter.nargs != 1 or parameter.multiple


def _raw(ctx: click.Context, parameter: click.Parameter) -> Any:
    """Value of a parameter that can be given again: a number or switch as it is, a text as it was typed."""
    name = str(parameter.name)
    if parameter.callback is None and isinstance(ctx.params.get(name), bool | int | float):
        return ctx.params[name]
    source = ctx.get_parameter_source(name)
    if source is ParameterSource.COMMANDLINE:
        return ctx.meta[_GIVEN][name]
    return ctx.meta[_FILED][name] if from_file(ctx, name) else parameter.get_default(ctx)


def _lasting(parameter: click.Parameter, value: Any) -> Any:
    """Value that TOML has, its paths absolute, so that it holds in any folder; None for none, and for an empty list.

    A word that names nothing here, as a name of the zoo, stays as it is, but for the output.
    """
    if isinstance(value, tuple | list):
        return [_lasting(parameter, part) for part in value] or None
    if not isinstance(value, str | Path):
        return value if isinstance(value, bool | int | float) else None
    word, path = str(value), Path(value)
    if isinstance(parameter.type, click.Path):
        is_path = path.exists() or "-o" in parameter.opts
    else:  # a text, which may name a file, as a table of splits
        is_path = not isinstance(parameter.type, click.Choice) and bool(path.suffix) and path.is_file()
    return str(path.absolute()) if is_path else word


def _take_back(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    """Make the settings in a file the defaults of this call; ToolkitError where they are not this command's."""
    if path is None:
        return
    try:
        document = tomllib.loads(read_bytes(path).decode(errors="surrogateescape"))
    except tomllib.TOMLDecodeError as error:
        raise ToolkitError(f"{path}: not readable as TOML ({error}). Mend it, or take another file.") from None
    if (found := document.pop(_COMMAND, None)) != _words(ctx):
        raise ToolkitError(f"{path}: settings of `av1part {found}`, expected those of `av1part {_words(ctx)}`.")
    known = {_key(own): own for own in _kept(ctx.command)}
    for key, value in document.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            advice = f"Did you mean {near[0]}?" if near else "See the command's --help for those that there are."
            raise ToolkitError(f"{path}: `av1part {_words(ctx)}` has no setting {key}. {advice}")
        several = _several(known[key])
        words = value if isinstance(value, list) else [value]
        plain = all(isinstance(word, str | int | float) for word in words)
        if not plain or isinstance(value, list) != several or (isinstance(value, bool) and not _is_switch(known[key])):
            expected = 'a list, as ["a", "b"]' if several else "one value as on the command line"
            raise ToolkitError(f"{path}: {key} is {value!r:.60}, expected {expected}.")
    # Words, so that they are read as those on the command line are: 3.7 is no number of epochs there.
    ctx.default_map = {str(known[key].name): _typed_words(value) for key, value in document.items()}
    ctx.meta[_FILED] = {str(known[key].name): value for key, value in document.items()}


def _is_switch(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Option) and parameter.is_flag


def _typed_words(value: Any) -> Any:
    """A value of a file as it would be typed; a switch stays as it is."""
    if isinstance(value, list):
        return [str(word) for word in value]
    return value if isinstance(value, bool) else str(value)


def _kept(command: click.Command) -> list[click.Parameter]:
    return [own for own in command.params if own.expose_value and own.name not in _NOT_KEPT]


def _key(parameter: click.Parameter) -> str:
    """Name of a setting: that of the long option, or of the argument."""
    long = [name.removeprefix("--") for name in parameter.opts if name.startswith("--")]
    return long[0] if long else str(parameter.name)


def _words(ctx: click.Context) -> str:
    """Words that call the command, without the program's own."""
    return " ".join(ctx.command_path.split()[1:])


def _output(command: click.Command) -> str:
    return next(str(own.name) for own in command.params if "-o" in own.opts)


def _sizes(command: click.Command, ctx: click.Context, output: str) -> Iterator[str]:
    """Lines on the files and folders that are given, with their sizes, and on the output."""
    for own in command.params:
        value = ctx.params.get(str(own.name))
        for path in value if isinstance(value, tuple) else (value,):
            if isinstance(path, Path) and own.name != output and path.exists():
                yield f"Reads {path}: {_bytes(path) / 1e6:,.1f} MB."
    target: Path = ctx.params[output]
    yield f"Writes {target}{', which is there already' if target.exists() else ''}."


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file())
