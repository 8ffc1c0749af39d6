"""Training on Ray: the same bits as on one machine, whatever dies on the way."""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import subprocess
import time

import numpy as np
import pandas as pd
import pytest

from llmguide import Guidance, sample_bars
from llmguide.errors import ModelError
from llmguide.rl import cluster, connection
from llmguide.rl.cluster import train_on_cluster
from llmguide.rl.config import DQNConfig
from llmguide.rl.runs import EpisodeEnd, Resumed, Tick, planned_steps
from llmguide.rl.training import Lesson, train_agents

EPISODES = 16
SMALL = DQNConfig(hidden=16, batch=16, target_update=50, replay=300, epsilon_decay=100)
BARS = [sample_bars(years=1, seed=seed) for seed in (1, 2)]


def lessons():
    rows = pd.DataFrame({"issued_at": BARS[0].index[30:31], "direction": [1], "confidence": [3]})
    guided = Lesson.prepare(BARS[0], Guidance.from_rows(rows), config=SMALL, curves=True)
    return [guided, Lesson.prepare(BARS[1], None, config=SMALL)]


def jobs(folder=None):
    """Two jobs of each lesson."""
    return {
        lesson.job(seed, EPISODES, name=f"{n}-{seed}", state=folder and folder / f"{n}-{seed}.training"): lesson
        for n, lesson in enumerate(lessons())
        for seed in (0, 1)
    }


def some(wanted, count):
    return dict(list(wanted.items())[:count])


def by_name(trained):
    return {job.name: agent for job, agent in trained}


def train_here(wanted, **options):
    return by_name(train_agents(wanted, device="cpu", **{"progress": False} | options))


@pytest.fixture(scope="module")
def whole():
    """The agents of all jobs, trained on this machine without a break."""
    return train_here(jobs())


def assert_same(agents, others):
    for name, agent in agents.items():
        assert agent.notes == others[name].notes
        for part, weights in agent.weights.items():
            np.testing.assert_array_equal(weights, others[name].weights[part], err_msg=f"{name} {part}")


class Watch:
    """Stands where a progress bar stands: keeps the events, and does something at one moment."""

    def __init__(self, moment=lambda event: False, act=lambda: None):
        self.moment, self.act, self.events = moment, act, []

    def begin(self, title, *, steps, episodes, agents):
        pass

    def __call__(self, event):
        self.events.append(event)
        if self.moment(event):
            self.moment = lambda event: False
            self.act()

    def steps(self):
        return sum(event.steps for event in self.events if isinstance(event, Tick | Resumed))

    def episodes(self, name):
        return [event.episode for event in self.events if isinstance(event, EpisodeEnd) and event.job.name == name]


def at_episode(number):
    return lambda event: isinstance(event, EpisodeEnd) and event.episode == number


def interrupt():
    raise KeyboardInterrupt


def workers_in_training():
    """Process ids of the workers of this process's own Ray that are at a task of ours."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()[1:]]
    raylets = {pid for pid, parent, _ in rows if int(parent) == os.getpid()}
    return [int(pid) for pid, parent, name in rows if parent in raylets and name.startswith("ray::llmguide")]


def kill_all_in_training():
    workers = workers_in_training()
    assert workers
    for worker in workers:
        os.kill(worker, signal.SIGKILL)


@pytest.fixture(scope="module")
def ray():
    """A local Ray with two workers, which belongs to the tests: training uses it and leaves it running."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_TOKEN", "0" * 64)  # else Ray writes one into the home folder
        for name, value in connection.ENVIRONMENT.items():
            patch.setenv(name, value)
        ray = pytest.importorskip("ray")
        try:
            ray.init("local", num_cpus=2, include_dashboard=False, **connection.QUIET)
            yield ray
        finally:
            ray.shutdown()


@pytest.mark.slow
def test_a_cluster_trains_the_same_agents_bit_by_bit_and_is_left_running(ray, whole, tmp_path):
    said, watch, wanted = [], Watch(), jobs(tmp_path)
    trained = by_name(train_on_cluster(wanted, progress=watch, announce=said.append))
    assert trained.keys() == whole.keys()
    assert_same(trained, whole)
    assert list(tmp_path.iterdir()) == []
    assert watch.steps() == planned_steps(wanted)
    assert all(watch.episodes(name) == list(range(1, EPISODES + 1)) for name in trained)
    assert len(said) == 1
    assert said[0].endswith("2 CPUs")
    assert ray.is_initialized()


@pytest.mark.slow
def test_killed_workers_are_replaced_and_no_bit_changes_and_no_step_counts_twice(ray, whole, tmp_path, capfd):
    said, watch, wanted = [], Watch(at_episode(5), kill_all_in_training), some(jobs(tmp_path), 2)
    trained = by_name(train_on_cluster(wanted, progress=watch, announce=said.append))
    assert trained.keys() == {"0-0", "0-1"}
    assert_same(trained, whole)
    losses = [line for line in said if "a worker was lost (WorkerCrashedError)" in line]
    assert any("resumes from episode 0" not in line for line in losses)
    assert capfd.readouterr().out == "", "standard output belongs to the results"
    assert watch.steps() == planned_steps(wanted)
    assert all(watch.episodes(name) == list(range(1, EPISODES + 1)) for name in trained)


@pytest.mark.slow
def test_without_files_a_lost_job_begins_again_and_losing_it_too_often_is_an_error(ray, whole, monkeypatch):
    said, watch, wanted = [], Watch(at_episode(5), kill_all_in_training), some(jobs(), 1)
    trained = by_name(train_on_cluster(wanted, progress=watch, announce=said.append))
    assert_same(trained, whole)
    assert said[1:] == ["a worker was lost (WorkerCrashedError); 0-0 resumes from episode 0"]

    monkeypatch.setattr(cluster, "RETRIES", 0)
    watch = Watch(at_episode(5), kill_all_in_training)
    with pytest.raises(ModelError, match=r"1 workers were lost over 0-0, the last by WorkerCrashedError: The worker"):
        list(train_on_cluster(wanted, progress=watch))


@pytest.mark.slow
def test_what_is_interrupted_on_a_cluster_goes_on_here_and_the_other_way_round(ray, whole, tmp_path):
    wanted = some(jobs(tmp_path), 2)
    with pytest.raises(KeyboardInterrupt):
        list(train_on_cluster(wanted, progress=Watch(at_episode(5), interrupt)))
    assert list(tmp_path.iterdir())
    watch = Watch()
    assert_same(train_here(wanted, progress=watch), whole)
    assert any(isinstance(event, Resumed) for event in watch.events)

    with pytest.raises(KeyboardInterrupt):
        train_here(wanted, progress=Watch(at_episode(5), interrupt))
    watch = Watch()
    assert_same(by_name(train_on_cluster(wanted, progress=watch)), whole)
    assert any(isinstance(event, Resumed) for event in watch.events)
    assert watch.steps() == planned_steps(wanted)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_interrupt_stops_the_workers_of_a_cluster_that_runs_on(ray):
    lesson = lessons()[1]
    endless = {lesson.job(seed, 10_000, name="endless"): lesson for seed in (0, 1)}
    with pytest.raises(KeyboardInterrupt):
        list(train_on_cluster(endless, progress=Watch(at_episode(1), interrupt)))
    deadline = time.monotonic() + 10
    while workers_in_training():
        assert time.monotonic() < deadline, "tasks go on after the interrupt"
        time.sleep(0.05)


@pytest.mark.slow
def test_what_a_worker_raises_is_the_callers_error(ray, tmp_path, monkeypatch):
    with pytest.raises(ModelError, match="the Ray cluster has no GPU; use 'cpu' or 'auto'"):
        list(train_on_cluster(jobs(), device="cuda", progress=False))
    with pytest.raises(ModelError, match=r"connected to Ray at .*; use 'auto' for it, not '10\.0\.0\.1:6379'"):
        list(train_on_cluster(jobs(), address="10.0.0.1:6379", progress=False))
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "_versions", lambda: {"numpy": "0.1"})
        with pytest.raises(
            ModelError, match=rf"^a worker .* has numpy {np.__version__} instead of 0.1; install the same"
        ):
            list(train_on_cluster(jobs(), progress=False))

    module = tmp_path / "only_here.py"
    module.write_text("def work():\n    yield 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    task = ray.remote(importlib.import_module("only_here").work)
    module.unlink()
    with pytest.raises(ray.exceptions.RayTaskError) as caught:
        ray.get(next(task.remote()))
    cause = cluster._cause(caught.value)
    assert isinstance(cause, ModelError)
    assert "cannot load llmguide (ModuleNotFoundError: No module named 'only_here')" in str(cause)


@pytest.mark.slow
def test_a_block_of_jobs_reports_every_episode_and_hands_over_what_it_saves(tmp_path):
    wanted = [job for job in jobs(tmp_path) if not job.course.guided]

    def run(states):
        reports = cluster._train_block(cluster._versions(), pickle.dumps(wanted), states, "cpu")
        return [pickle.loads(report) for report in reports]

    whole = run({0: None, 1: None})
    assert [(report.number, report.episode) for report in whole] == [
        (n, e) for n in (0, 1) for e in range(1, EPISODES + 1)
    ]
    assert list(tmp_path.iterdir()) == []
    saved = {report.number: report.state for report in whole if report.state is not None and report.weights is None}
    assert saved.keys() == {0, 1}

    resumed = run(saved)
    assert 2 <= len(resumed) < len(whole)
    ends, again = ({r.number: r for r in reports if r.weights is not None} for reports in (whole, resumed))
    for number, end in ends.items():
        for part, weights in end.weights.items():
            np.testing.assert_array_equal(weights, again[number].weights[part])


class Store:
    """Stands where Ray stands."""

    def put(self, value):
        return value


def test_a_block_is_one_job_or_all_jobs_of_a_course():
    wanted = list(jobs())
    alone, together = (list(cluster._blocks(Store(), wanted, together=choice)) for choice in (False, True))
    assert [sorted(job.name for job in block.jobs.values()) for block in together] == [["0-0", "0-1"], ["1-0", "1-1"]]
    assert [job.name for block in alone for job in block.jobs.values()] == ["0-0", "0-1", "1-0", "1-1"]
    for block in (*alone, *together):
        course = pickle.loads(block.course)
        assert all(course[number].name == job.name for number, job in block.jobs.items())
        assert len({id(job.course) for job in course}) == 1, "bars travel once"


def test_the_loss_of_a_block_names_its_first_job_and_where_it_goes_on(tmp_path):
    block = next(cluster._blocks(Store(), list(jobs(tmp_path)), together=True))
    assert cluster._loss(block, OSError()) == "a worker was lost (OSError); 0-0 and 1 more resumes from episode 0"
