"""The `meshlog` command. Every command is a module of its own, imported when it runs, so that the others start quickly."""

import contextlib
import importlib
import os
import sys
from typing import NoReturn

import click

# name -> (module, one line for --help); the order is that of --help
_COMMANDS = {
    "up": ("mesh.cli.up", "Start the mesh, or bring a running one to what the topology file says."),
    "down": ("mesh.cli.down", "End the mesh and everything it started."),
    "status": ("mesh.cli.status", "Processes, nodes and calls, now."),
    "logs": ("mesh.cli.logs", "What the processes print."),
    "events": ("mesh.cli.events", "What happened: configuration, nodes, calls."),
    "trace": ("mesh.cli.trace", "The waterfall of one call."),
    "shift": ("mesh.cli.shift", "Spread the calls of a service over its versions."),
    "fault": ("mesh.cli.fault", "Delay the calls to one workload, on purpose."),
    "doctor": ("mesh.cli.doctor", "Can this machine run a mesh?"),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):  # without importing every module
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="meshlog")
def _meshlog() -> None:
    """An event-sourced gateway and service mesh: Envoy in front of Python services."""


def main() -> None:
    """The console script. Errors of ours are one sentence on stderr; the exit status is 1, or 2 for a misused command."""
    from mesh.errors import MeshError

    try:
        _meshlog(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.Abort:  # Ctrl-C
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except MeshError as error:
        _fail(str(error))
    except BrokenPipeError:
        # the reader, as in `meshlog events | head`, has seen enough; nothing may be flushed to it at the exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        _fail(_said(error))


def _fail(said: str) -> NoReturn:
    with contextlib.suppress(OSError):  # the terminal is gone
        click.echo(f"meshlog: {said}", err=True)
    sys.exit(1)


def _said(error: OSError) -> str:
    import errno

    where = f" at {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full{where}: make room, and run the command again"
    return f"{error.strerror or error}{where}"


if __name__ == "__main__":
    main()
