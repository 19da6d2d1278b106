"""Run a sweep: every run is an ordinary, resumable `av1part train` in a process of its own, several at once."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import click
import joblib

from toolkit.cluster import Cluster
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.experiments.run_summary import RunSummary
from toolkit.experiments.sweep_config import Job, SweepConfig, plan
from toolkit.files import atomic_write_json, one_at_a_time, read_json
from toolkit.option import Options
from toolkit.processes import child_environment, end_with_parent
from toolkit.training.run_folder import RunFolder

KIND = "av1part-sweep"


@dataclass(frozen=True)
class Outcome:
    """Result of a job; `failure` is empty where its run is finished."""

    name: str
    failure: str = ""


def sweep(
    data: Path, folder: Path, config: SweepConfig, cluster: Cluster | None = None
) -> tuple[list[Path], list[Outcome]]:
    """Train every planned run that is not finished. Returns the finished runs of the swept stage, and the failures.

    The runs are FOLDER/<recipe>-seed<N>, their output FOLDER/logs/<run>.log. A finished run is left as it is, an
    interrupted one is resumed. `cluster` trains them on other machines, which share both folders. Raises ToolkitError
    where the folder holds a sweep of other options or data, and where another process is sweeping there.
    """
    jobs = plan(config)
    busy = f"{folder}: another process is sweeping there. Wait for it, or choose another name."
    with one_at_a_time(folder / ".lock", busy):
        _check_folder(folder, data, config)
        first = [job for job in jobs if job.options["stage"] != config.stage]
        runs = [job for job in jobs if job.options["stage"] == config.stage]
        failed = {o.name: o for o in _run_all(data, folder, config, first, cluster) if o.failure}
        ready = [job for job in runs if job.after not in failed]
        late = [Outcome(j.name, f"its Stage 1 ({j.after}) failed") for j in runs if j.after in failed]
        outcomes = _run_all(data, folder, config, ready, cluster)
    finished = [folder / outcome.name for outcome in outcomes if not outcome.failure]
    return finished, [*failed.values(), *late, *(o for o in outcomes if o.failure)]


def _check_folder(folder: Path, data: Path, config: SweepConfig) -> None:
    """Note the data and options in the folder; raise ToolkitError where they differ from those noted before."""
    same: Options = {
        "data": BlockSet.load(data).sha256,
        "stage": config.stage,
        "stage1_recipe": config.stage1_recipe,
    }
    same |= {"stage1": str(config.stage1), "options": {k: str(v) for k, v in sorted(config.options.items())}}
    note = folder / "sweep.json"
    if not note.is_file():
        atomic_write_json(note, {"kind": KIND, **same})
        return
    found = read_json(note)
    different = [f"{k}: {same[k]} now, {found.get(k)} then" for k in same if same[k] != found.get(k)]
    if different:
        raise ToolkitError(
            f"{folder} holds a sweep of another kind ({'; '.join(different)}). Its runs could not be compared with "
            "new ones: choose another folder, or the same options."
        )


def _run_all(
    data: Path, folder: Path, config: SweepConfig, jobs: Sequence[Job], cluster: Cluster | None
) -> list[Outcome]:
    if cluster:
        return _on_cluster(cluster, data, folder, jobs)
    calls = []
    for index, job in enumerate(jobs):
        run = folder / job.name
        state = run_state(run)
        if state == "finished":
            click.echo(f"{job.name}: is finished", err=True)
            continue
        environment = {"CUDA_VISIBLE_DEVICES": config.gpus[index % len(config.gpus)]} if config.gpus else {}
        if config.jobs > 1:  # in all, no more threads than cores
            environment["OMP_NUM_THREADS"] = os.environ.get(
                "OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // config.jobs))
            )
        calls.append(joblib.delayed(run_job)(job, data, folder, state, environment, os.getpid()))
    with joblib.parallel_config(backend=config.backend, n_jobs=config.jobs):
        done = {outcome.name: outcome for outcome in joblib.Parallel()(calls)}
    return [done.get(job.name, Outcome(job.name)) for job in jobs]


def _on_cluster(cluster: Cluster, data: Path, folder: Path, jobs: Sequence[Job]) -> list[Outcome]:
    """Train the runs that are not finished on workers, one a worker at a time."""
    done = {job.name: Outcome(job.name) for job in jobs}
    todo = [job for job in jobs if run_state(folder / job.name) != "finished"]
    calls = [(_absolute(job), data.absolute(), folder.absolute()) for job in todo]
    with closing(cluster.each(train_apart, calls, _torch)) as replies:
        for index, outcome in replies:
            name = todo[index].name
            if not outcome.failure and run_state(folder / name) != "finished":
                outcome = Outcome(name, f"finished by a worker that does not share {folder}. Share it and {data}")
            click.echo(f"{name}: {'FAILED' if outcome.failure else 'finished'} ({cluster.workers} workers)", err=True)
            done[name] = outcome
    return list(done.values())


def _absolute(job: Job) -> Job:
    """The job with paths that hold in any folder."""
    options = {name: value.absolute() if isinstance(value, Path) else value for name, value in job.options.items()}
    return replace(job, options=options)


def _torch() -> dict[str, str]:
    return {"torch": version("torch")}


def train_apart(call: tuple[Job, Path, Path]) -> Outcome:
    """Train one run of a sweep on this worker of a cluster; one that a worker began before it died is resumed."""
    job, data, folder = call
    return run_job(job, data, folder, run_state(folder / job.name), {}, os.getpid())


def run_state(run: Path) -> str:
    """State of a run folder: `new`, `interrupted`, `finished`, or `without a finished epoch`."""
    if not (run / "run.json").is_file():
        return "new"
    summary = RunSummary.read(run)
    if not summary.history:
        return "without a finished epoch"
    final = RunFolder(run).artefact("model_final.pt")
    return "finished" if summary.finished and final.is_file() else "interrupted"


def run_job(job: Job, data: Path, folder: Path, state: str, environment: dict[str, str], sweeper: int) -> Outcome:
    """Train one run through the command line, in a process of its own; its output goes to its log.

    `sweeper`: process id of the sweep, with which the run ends.
    """
    if os.getpid() != sweeper:  # a worker of joblib's
        end_with_parent(sweeper)
    run = folder / job.name
    if state == "without a finished epoch":
        shutil.rmtree(run)  # it holds a description but no result
    if state == "interrupted":
        arguments = ["--resume"]
    else:
        options = job.options | ({"start": folder / job.after} if job.after else {})
        arguments = train_arguments(options)
    command = [sys.executable, "-m", "av1part", "train", str(data), "-o", str(run), *arguments]
    click.echo(f"{job.name}: {'resumed' if state == 'interrupted' else 'started'}", err=True)
    path = folder / "logs" / f"{job.name}.log"
    path.parent.mkdir(exist_ok=True, parents=True)
    with path.open("a") as file:
        file.write(f"{' '.join(command[2:])}\n")
        file.flush()
        code = subprocess.run(
            command, stdout=file, stderr=file, env=child_environment() | environment, check=False
        ).returncode
    if code == 0 and run_state(run) == "finished":
        click.echo(f"{job.name}: finished", err=True)
        return Outcome(job.name)
    said = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    click.echo(f"{job.name}: FAILED", err=True)
    return Outcome(job.name, f"exit code {code}: {said[-1].removeprefix('Error: ')} (see {path})")


def train_arguments(options: Options) -> list[str]:
    """Command-line arguments of `av1part train` for these options."""
    arguments = []
    for name, value in options.items():
        flag = {"start": "from"}.get(name, name).replace("_", "-")
        if isinstance(value, bool):
            arguments.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:
            arguments += [f"--{flag}", str(value)]
    return arguments
