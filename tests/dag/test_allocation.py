"""What jobs ask a scheduler for."""

from __future__ import annotations

import pytest

from fornix.dag.allocation import MINUTES, TOGETHER, Allocation
from fornix.dag.graph import Graph
from fornix.study.compute import Compute
from fornix.study.load import parse_study

STUDY = {
    "name": "small",
    "datasets": {"shapes": {"source": "simulate", "world": {"name": "shapes", "n_subjects": 3}}},
    "responses": {"betas": {"kind": "fmri", "dataset": "shapes"}},
    "features": {
        "gabor": {"kind": "gabor", "dataset": "shapes", "parts": 2},
        "net": {"kind": "huggingface", "dataset": "shapes", "model": "some/model"},
    },
    "fits": {
        "ridge": {"kind": "ridge", "responses": "betas", "features": ["gabor"]},
        "trunk": {"kind": "shared_trunk", "responses": "betas", "features": ["gabor"]},
    },
}
BATCHES = {"ingest": 4, "preprocess": 4, "features": 4, "fit": 4, "evaluate": 4, "report": 4}


@pytest.fixture(scope="module")
def graph():
    return Graph(parse_study(STUDY))


def gpus(graph, **settings):
    counted = settings.pop("counted", None)
    allocation = Allocation(graph, Compute(**settings), counted=counted)
    return {f"{one.stage} {one.name}": allocation.gpus(one) for one in graph.jobs.values()}


def test_networks_ask_for_a_gpu_where_gpus_are_counted(graph):
    assert set(gpus(graph).values()) == {0}
    assert set(gpus(graph, counted=0).values()) == {0}
    assert set(gpus(graph, counted=4, device="cpu").values()) == {0}
    asked = {job: count for job, count in gpus(graph, counted=4).items() if count}
    assert asked == {"features net": 1, "fit trunk": 1}


def test_all_that_can_use_one_asks_for_a_gpu_where_the_study_wants_it(graph):
    asked = {job: count for job, count in gpus(graph, device="cuda", devices=2).items() if count}
    assert asked == {"features net": 1, "fit trunk": 2, "fit ridge": 1}


def test_small_jobs_of_a_stage_go_together_and_no_two_depend_on_each_other(graph):
    allocation = Allocation(graph, Compute(), counted=4, batches=BATCHES)
    groups = {}
    for job in graph.jobs.values():
        groups.setdefault(allocation.group(job), []).append(job)
    alone = {(job.stage, job.name) for job in groups.pop(None)}
    assert ("features", "net") in alone
    assert ("fit", "trunk") in alone
    assert {stage for stage, _ in alone} == {"simulate", "features", "fit", "report"}
    assert len([job for found in groups.values() for job in found if job.stage == "fit"]) == 3

    def above(job):
        return {one.key for one in job.needs.values()} | {
            key for one in job.needs.values() for key in above(one)
        }

    for found in groups.values():
        keys = {job.key for job in found}
        assert len({job.stage for job in found}) == 1
        assert not any(keys & above(job) for job in found)
    # A whole depends on its parts: they are of one stage, and not of one group.
    assert len([name for name in groups if name.startswith("features")]) == 2


def test_without_batches_every_job_goes_alone(graph):
    allocation = Allocation(graph, Compute())
    assert {allocation.group(job) for job in graph.jobs.values()} == {None}
    assert {allocation.minutes(job) for job in graph.of("fit")} == {MINUTES["fit"]}


def test_a_job_that_goes_with_others_asks_for_less_time(graph):
    allocation = Allocation(graph, Compute(), batches=BATCHES)
    assert {allocation.minutes(job) for job in graph.of("fit", "ridge")} == {TOGETHER["fit"]}
    assert {allocation.minutes(job) for job in graph.of("fit", "trunk")} == {MINUTES["fit"]}


class _Resources(dict):
    def get(self, name):
        return type("Resource", (), {"value": dict.get(self, name)})


class _Snakemake:
    """What is asked of Snakemake's workflow."""

    def __init__(self, *, local_exec, batches=(), **resources):
        self.global_resources = _Resources(resources)
        self.group_settings = type("Groups", (), {"group_components": dict(batches)})
        self.local_exec, self.parent_groupids = local_exec, {}

    def register_resource(self, name, value):
        self.global_resources[name] = value


def test_a_local_run_counts_the_gpus_of_the_machine(graph, monkeypatch):
    monkeypatch.setenv("FORNIX_GPUS", "a,b")
    here = _Snakemake(local_exec=True)
    assert Allocation.under(here, graph, Compute(gpu_jobs=2)).counted == 4
    assert dict(here.global_resources) == {"gpu": 4}
    assert Allocation.under(_Snakemake(local_exec=True, gpu=1), graph, Compute()).counted == 1
    assert Allocation.under(_Snakemake(local_exec=False), graph, Compute()).counted is None
    monkeypatch.setenv("FORNIX_GPUS", "none")
    assert Allocation.under(_Snakemake(local_exec=True), graph, Compute()).counted is None


def test_snakemake_knows_which_groups_belong_to_a_stage(graph):
    away = _Snakemake(local_exec=False, batches=BATCHES)
    Allocation.under(away, graph, Compute())
    assert {"ingest", "preprocess", "features", "fit", "evaluate"} == {
        *away.parent_groupids.values()
    }
    assert all(key.startswith(f"{stage}-") for key, stage in away.parent_groupids.items())


def test_a_fit_that_may_have_workers_here_asks_for_their_cores(graph):
    def cores(**settings):
        allocation = Allocation(graph, Compute(threads=2, **settings))
        found = {f"{one.stage} {one.name}": allocation.threads(one) for one in graph.jobs.values()}
        return {job for job, count in found.items() if count == 6}, set(found.values())

    assert cores() == (set(), {2})
    assert cores(cluster_workers=3) == ({"fit ridge"}, {2, 6})
    assert cores(cluster="slurm", cluster_workers=3) == (set(), {2})
