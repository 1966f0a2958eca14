"""The command line: the dashboard by default, and everything that works without one.

Exit codes: 0 it worked; 1 it was tried and failed; 2 the command or a configuration is wrong, nothing was changed; 3 no such
connector or sync; 128 + n ended by signal n.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncterm import __version__, settings
from syncterm.account import account_name
from syncterm.engine.errors import ConfigError, SynctermError
from syncterm.engine.host import EngineHost
from syncterm.engine.model import Actor, Role
from syncterm.engine.operation_results import OperationResult
from syncterm.engine.workspace import Workspace
from syncterm.output import EXIT_FAILED, EXIT_NOT_FOUND, fail, print_json, print_line, print_table, say
from syncterm.text import ago, byte_size, count, duration, until

if TYPE_CHECKING:
    from syncterm.engine.document_plan import Plan
    from syncterm.engine.queries import ConnectorRow, SchemaChangeRow

as_json = click.option("--json", "json_", is_flag=True, help="Print JSON.")


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="syncterm")
@click.option("--home", type=click.Path(path_type=Path), help="Folder of the workspace; also $SYNCTERM_HOME.")
@click.option("--ascii", "ascii_", is_flag=True, help="Draw with ASCII characters only.")
@click.option("--read-only", is_flag=True, help="Look, but change nothing.")
@click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal.")
@click.pass_context
def cli(context: click.Context, home: Path | None, ascii_: bool, read_only: bool, no_mouse: bool) -> None:
    """A terminal dashboard that runs data connectors. Without a command it opens the dashboard."""
    if home is not None:
        os.environ["SYNCTERM_HOME"] = str(home.expanduser().absolute())
    context.obj = Workspace.default()
    if context.invoked_subcommand != "doctor" and settings.config_path().exists():  # the doctor works with whatever is there
        in_keyring = settings.load().key_store is settings.KeyStore.KEYRING
        context.obj = replace(context.obj, keys_in_keyring=in_keyring)
    if context.invoked_subcommand is None:
        from syncterm.dashboard import run_dashboard

        sys.exit(run_dashboard(context.obj, ascii=ascii_, read_only=read_only, mouse=not no_mouse))


def actor() -> Actor:
    """Who gives the command. Whoever can write the store's file is its administrator."""
    return Actor(account_name(), Role.ADMINISTRATOR)


@contextmanager
def opened(workspace: Workspace, **options: Any) -> Iterator[EngineHost]:
    """An engine host for the time of a command.

    Raises:
        SynctermError: where the store cannot be opened.
    """
    from syncterm.log_file import start_logging

    start_logging(workspace)
    host = EngineHost(workspace, **{"execute": False, **options})
    host.start()
    try:
        host.wait_ready()
        yield host
    finally:
        host.stop()


def connector_id(host: EngineHost, name: str) -> str:
    """The id of a connector by its name or id; exits where there is none."""
    found = host.call_and_wait(lambda engine: engine.queries.connector(name))
    if found is None:
        say(f"Error: There is no connector {name!r}. `syncterm status` lists them.")
        sys.exit(EXIT_NOT_FOUND)
    found_id: str = found.row.id
    return found_id


@cli.command()
@click.argument("name", required=False)
@as_json
@click.pass_obj
def status(workspace: Workspace, name: str | None, json_: bool) -> None:
    """The connector table, or one connector with the reason why it is or isn't running."""
    with opened(workspace) as host:
        if name is not None:
            detail = host.call_and_wait(lambda engine: engine.queries.connector(name))
            if detail is None:
                say(f"Error: There is no connector {name!r}. `syncterm status` lists them.")
                sys.exit(EXIT_NOT_FOUND)
            if json_:
                print_json(detail)
                return
            print_connectors(host, [detail.row])
            print_line(detail.why)
            return
        rows = all_connectors(host)
        if json_:
            print_json(rows)
        elif rows:
            print_connectors(host, rows)
            holder = host.call_and_wait(lambda engine: engine.queries.engine_state()).holder
            if holder is None or not holder.alive:
                say("No engine runs on this workspace, so nothing starts by itself. `syncterm` or `syncterm engine` starts one.")
        else:
            say("No connectors yet. `syncterm apply FILE` sets some up; `syncterm demo` shows how it looks.")


def all_connectors(host: EngineHost) -> list[ConnectorRow]:
    """Every connector, by name."""
    from syncterm.engine.queries import ConnectorQuery

    keys = host.call_and_wait(lambda engine: engine.queries.connector_keys(ConnectorQuery()))
    found = host.call_and_wait(lambda engine: engine.queries.connector_rows(keys))
    return [found[key] for key in keys if key in found]


def print_connectors(host: EngineHost, rows: list[ConnectorRow]) -> None:
    """The connector table on standard output."""
    now = host.clock.now()
    print_table(
        ["NAME", "SOURCE → DESTINATION", "STATUS", "ACTIVITY", "LAST SYNC", "RESULT", "RECORDS", "FAILED", "DURATION", "NEXT SYNC"],
        [
            [
                row.name,
                f"{row.source_name} → {row.destination_name}",
                str(row.status),
                str(row.activity),
                ago(row.last_sync_at, now),
                str(row.last_outcome or "–"),
                count(row.last_records),
                count(row.last_rejected),
                duration(row.last_duration.total_seconds() if row.last_duration is not None else None),
                until(row.next_fire_at, now),
            ]
            for row in rows
        ],
    )


@cli.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--historical", is_flag=True, help="Read everything again (historical re-sync).")
@click.option("--no-wait", is_flag=True, help="Only queue it.")
@as_json
@click.pass_obj
def sync(workspace: Workspace, names: tuple[str, ...], historical: bool, no_wait: bool, json_: bool) -> None:
    """Sync connectors now and wait for the result.

    Where an engine runs on this store it does the work; else this command does, and only what was asked for.
    """
    from syncterm.engine.engine import EngineSettings
    from syncterm.follow import follow, queue

    with opened(workspace, execute=not no_wait, settings=EngineSettings(schedule=False)) as host:
        ids = [connector_id(host, name) for name in names]
        queued = queue(host, actor(), ids, historical=historical)
        if no_wait:
            sys.exit(0 if len(queued) == len(ids) else EXIT_FAILED)
        finished = follow(host, actor(), queued, quiet=json_)
        if json_:
            print_json(finished)
        else:
            for detail in finished:
                row = detail.row
                print_line(
                    f"{row.connector_name}: {row.outcome}, {count(row.counts.written)} records written, "
                    f"{count(row.counts.rejected)} failed, {byte_size(row.counts.bytes)}, "
                    f"{duration(row.duration.total_seconds() if row.duration else None)}"
                )
                if row.error_message:
                    say(f"  {row.error_message}")
        succeeded = all(str(detail.row.outcome) == "success" for detail in finished)
        sys.exit(0 if succeeded and len(queued) == len(ids) else EXIT_FAILED)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--dry-run", is_flag=True, help="Show the plan; change nothing.")
@click.option("--prune", is_flag=True, help="Delete what the document does not name.")
@as_json
@click.pass_obj
def apply(workspace: Workspace, file: Path, dry_run: bool, prune: bool, json_: bool) -> None:
    """Make sources, destinations and connectors what FILE (YAML or JSON) says. Applying twice changes nothing."""
    from syncterm.engine.document import load_document

    document = load_document(sys.stdin.read() if str(file) == "-" else file)
    with opened(workspace) as host:
        plan = host.call_and_wait(lambda engine: engine.operations.apply(actor(), document, prune=prune, dry_run=dry_run))
    if json_:
        print_json(plan)
        return
    print_plan(plan)
    say("Dry run: nothing was changed." if dry_run else "Applied.")


def print_plan(plan: Plan) -> None:
    """A line an object, and a line a field that changes."""
    signs = {"create": "+", "update": "~", "delete": "-", "unchanged": " "}
    for change in plan.changes:
        print_line(f"{signs[change.kind]} {change.object} {change.name}: {change.kind}")
        for field in change.fields if change.kind == "update" else ():
            print_line(f"    {field.path}: {field.before!r} → {field.after!r}")


@cli.command()
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write to a file (0600) instead of standard output.")
@click.pass_obj
def export(workspace: Workspace, output: Path | None) -> None:
    """Print the configuration as a document that `apply` reads; literal secrets are left out."""
    from syncterm.engine.document import export as export_text

    with opened(workspace) as host:
        document = host.call_and_wait(lambda engine: engine.operations.export(actor()))
    text = export_text(document)
    if output is None:
        click.echo(text, nl=False)
        return
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


@cli.command()
@click.argument("name")
@as_json
@click.pass_obj
def test(workspace: Workspace, name: str, json_: bool) -> None:
    """Test a connector's source and destination, step by step."""
    with opened(workspace) as host:
        connector = connector_id(host, name)

        def show(end: Any, step: Any) -> None:
            if not json_:
                say(f"{end}: {step.title} {'ok' if step.passed else 'failed'} ({step.seconds:.2f} s) {step.detail}".rstrip())

        report = host.call_and_wait(lambda engine: engine.operations.test_connection(actor(), connector, show))
    if json_:
        print_json(report)
    else:
        print_line(str(report.result))
        if report.cause:
            say(f"{report.cause} {report.remedy}".strip())
    sys.exit(0 if str(report.result) == "Connection is working" else EXIT_FAILED)


@cli.command()
@click.argument("sync_id", metavar="ID")
@click.pass_obj
def cancel(workspace: Workspace, sync_id: str) -> None:
    """Cancel a running or queued sync by its Sync ID."""
    with opened(workspace) as host:
        if host.call_and_wait(lambda engine: engine.queries.sync(sync_id)) is None:
            say(f"Error: There is no sync {sync_id!r}. `syncterm logs` and the history show Sync IDs.")
            sys.exit(EXIT_NOT_FOUND)
        result = host.call_and_wait(lambda engine: engine.operations.cancel_sync(actor(), sync_id))
    say(f"{result.name}: {result.message}")
    sys.exit(0 if result.done else EXIT_FAILED)


@cli.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--reject", is_flag=True, help="Keep the approved schema instead.")
@click.option("--always", is_flag=True, help="Let the policy apply such changes by itself from now on.")
@click.option("--dry-run", is_flag=True, help="Only show what waits.")
@as_json
@click.pass_obj
def approve(workspace: Workspace, names: tuple[str, ...], reject: bool, always: bool, dry_run: bool, json_: bool) -> None:
    """Show the schema changes that connectors wait for, and approve them as shown."""
    if reject and always:
        raise ConfigError("--reject and --always exclude each other.", remedy="Leave one out.")
    shown: list[tuple[str, Sequence[SchemaChangeRow]]] = []
    results: list[OperationResult] = []
    with opened(workspace) as host:
        for connector in [connector_id(host, name) for name in names]:
            results += decide_schema(host, connector, shown, reject=reject, always=always, dry_run=dry_run)
    if json_:
        print_json({"changes": [change for _, changes in shown for change in changes], "results": results})
    else:
        for name, changes in shown:
            print_schema_changes(name, changes)
        for result in results:
            say(f"{result.name}: {result.message}")
    sys.exit(0 if all(result.done for result in results) else EXIT_FAILED)


def decide_schema(
    host: EngineHost,
    connector: str,
    shown: list[tuple[str, Sequence[SchemaChangeRow]]],
    *,
    reject: bool,
    always: bool,
    dry_run: bool,
) -> Sequence[OperationResult]:
    """Add what waits for a connector to `shown`, and decide on exactly that."""
    detail = host.call_and_wait(lambda engine: engine.queries.connector(connector))
    name = detail.row.name if detail is not None else connector
    found = host.call_and_wait(lambda engine: engine.queries.schema_changes(connector, limit=0))
    ids = [change.id for change in found]
    shown.append((name, found))
    if dry_run:
        return ()
    if not ids:
        return (OperationResult(connector, name, False, "No schema change waits."),)
    if reject:
        return host.call_and_wait(lambda engine: engine.operations.reject_schema_changes(actor(), ids))
    return host.call_and_wait(lambda engine: engine.operations.approve_schema_changes(actor(), ids, always=always))


def print_schema_changes(name: str, changes: Sequence[SchemaChangeRow]) -> None:
    """A line a stream, and two lines for each thing that changed in it."""
    from syncterm.engine.schema_difference import CLASS_WORDS

    for change in changes:
        print_line(f"{name}: {change.stream} ({'stops the connector' if change.blocking else 'waits, syncs go on'})")
        for entry in change.entries:
            print_line(f"  {entry.sign} {entry.title} [{CLASS_WORDS[entry.change_class] if entry.used else 'not used'}]")
            print_line(f"      {entry.effect}")


@cli.command()
@click.argument("name", required=False)
@click.option("--sync", "sync_id", help="Only the lines of this Sync ID.")
@click.option("--lines", "-n", default=200, show_default=True, help="How many of the newest lines.")
@click.option("--follow", "-f", "follow_", is_flag=True, help="Go on with new lines until interrupted.")
@as_json
@click.pass_obj
def logs(workspace: Workspace, name: str | None, sync_id: str | None, lines: int, follow_: bool, json_: bool) -> None:
    """The log lines of all connectors, of one, or of one sync."""
    from syncterm.follow import print_logs

    with opened(workspace) as host:
        connector = connector_id(host, name) if name is not None else None
        print_logs(host, connector, sync_id, limit=lines, follow=follow_, json_lines=json_)


@cli.command()
@click.option("--stop", is_flag=True, help="Stop the engine that runs on this workspace instead.")
@click.pass_obj
def engine(workspace: Workspace, stop: bool) -> None:
    """Run the engine without a screen, until SIGTERM or SIGINT; for systemd and containers."""
    if stop:
        _stop_engine(workspace)
        return
    from syncterm.dashboard import run_engine

    sys.exit(run_engine(workspace))


def _stop_engine(workspace: Workspace) -> None:
    """Send SIGTERM to the process that executes; its syncs resume at the next start."""
    with opened(workspace) as host:
        holder = host.call_and_wait(lambda engine: engine.queries.engine_state()).holder
    if holder is None or not holder.alive:
        say("No engine runs on this workspace.")
        sys.exit(EXIT_NOT_FOUND)
    if holder.host != socket.gethostname():
        raise ConfigError(f"The engine runs on {holder.host}, as process {holder.pid}.", remedy="Stop it there.")
    os.kill(holder.pid, signal.SIGTERM)
    say(f"Process {holder.pid} was asked to stop.")


@cli.command("rotate-key")
@click.pass_obj
def rotate_key(workspace: Workspace) -> None:
    """Seal the stored secrets with a new key; engines and dashboards may run meanwhile."""
    with opened(workspace) as host:
        print_line(host.call_and_wait(lambda engine: engine.operations.rotate_key(actor())))


@cli.command()
@as_json
@click.pass_obj
def doctor(workspace: Workspace, json_: bool) -> None:
    """Check this machine, the terminal and the store; says what to mend."""
    from syncterm.doctor import examine

    findings = examine(workspace)
    if json_:
        print_json(findings)
    else:
        for finding in findings:
            print_line(f"{'ok  ' if finding.good else 'FAIL'}  {finding.subject}: {finding.detail}")
    sys.exit(0 if all(finding.good for finding in findings) else EXIT_FAILED)


@cli.command()
@click.option("--headless", is_flag=True, help="Run the demo's syncs once and print the table; so without a terminal, too.")
@click.option("--folder", type=click.Path(path_type=Path), help="Folder of the demo; default: one of its own.")
@click.option("--fresh", is_flag=True, help="Begin again with new data.")
def demo(headless: bool, folder: Path | None, fresh: bool) -> None:
    """Open the dashboard on a demo workspace with real data: flights from New York in 2013."""
    from syncterm.demo import run_demo

    sys.exit(run_demo(folder, headless=headless or not (sys.stdin.isatty() and sys.stdout.isatty()), fresh=fresh))


def main() -> None:
    """Entry point: errors become messages and exit codes, never tracebacks."""
    os.umask(0o077)  # what any library creates is private
    try:
        cli(standalone_mode=False)
    except SynctermError as error:
        fail(error)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        fail(ConfigError(f"{error.filename or 'A file'}: {error.strerror}."))
