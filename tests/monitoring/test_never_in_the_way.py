"""Whatever fails while a training is watched, the training goes on as if nobody watched, and the record says what failed."""

from __future__ import annotations

import json
import signal
import warnings
from contextlib import contextmanager

import pytest
import torch
from torch import nn
from trainings import (
    COMPILED,
    QUICK,
    STEPS,
    BadWeights,
    Careless,
    Casting,
    CompiledFunction,
    CompiledMethod,
    CompiledParts,
    Growing,
    Hooked,
    InPlace,
    Locked,
    Logger,
    Model,
    Quiet,
    Stop,
    Uncopyable,
    Unspeakable,
    Warns,
    assert_equal,
    breaking,
    factory,
    no_space,
    raising,
    trained,
)

import separatrix as sx
from separatrix import DynamicsMonitor, LatentField
from separatrix.errors import ConvergenceWarning, InputError, ModelWarning
from separatrix.models import DenseAutoencoder
from separatrix.monitoring import Failure, JSONLinesLogger

# What is wrong: the model, options of the monitor, where it fails, how often, and what is said.
LOOKING = ("the first look", "the glance", "the search")
FAULTS = {
    "the factory raises": (factory(lambda _: raising(ValueError("no field"))), {}, "the field factory", 4, "no field"),
    "the factory raises what is no Exception": (factory(lambda _: raising(Stop("halt"))), {}, "the field factory", 4, "Stop: halt"),
    "the factory returns None": (factory(lambda _: None), {}, "the field factory", 4, "must return a LatentField"),
    "the factory returns the model": (factory(lambda model: model), {}, "the field factory", 4, "must return a LatentField"),
    "the factory leaves its marks and raises": (Careless, {}, "the field factory", 4, "and then it failed"),
    "an error without words": (factory(lambda _: raising(Unspeakable())), {}, "the field factory", 4, "Unspeakable"),
    "an error of many lines": (factory(lambda _: raising(ValueError("one\ntwo\n" * 999))), {}, "the field factory", 4, "one two"),
    "the model raises at once": (breaking(KeyError("weights")), {}, "the first look", 4, "KeyError"),
    "the model raises in the glance": (breaking(RuntimeError("halfway"), 12), {}, LOOKING, 4, "halfway"),
    "the model raises in the search": (breaking(RuntimeError("late"), 24), {}, LOOKING, None, "late"),
    "an assertion": (breaking(AssertionError("shape")), {}, "the first look", 4, "shape"),
    "the end of an iteration": (breaking(StopIteration(), 12), {}, LOOKING, 4, "StopIteration"),
    "the exit of a generator": (breaking(GeneratorExit(), 12), {}, LOOKING, 4, "GeneratorExit"),
    "a recursion": (breaking(RecursionError("too deep"), 12), {}, LOOKING, 4, "too deep"),
    "no Exception": (breaking(Stop("halt"), 12), {}, LOOKING, 4, "Stop: halt"),
    "out of memory": (breaking(MemoryError(), 12), {}, LOOKING, 4, "out of memory"),
    "out of memory on a device": (breaking(torch.OutOfMemoryError("CUDA out of memory"), 12), {}, LOOKING, 4, "out of memory"),
    "an operation that is not there": (breaking(NotImplementedError("no kernel")), {}, "the first look", 4, "no kernel"),
    "a warning that is an error": (breaking(UserWarning("deprecated"), 12), {}, LOOKING, 4, "deprecated"),
    "weights that are NaN": (BadWeights, {}, "the first look", 4, "NaN"),
    "the shape changes": (Growing, {"starts": torch.ones(8, 2)}, LOOKING, 3, "shape"),
    "the shape changes, by points": (Growing, {"by": "points"}, "the record", 3, ""),
    "the number format changes": (Casting, {}, LOOKING, 3, ""),
    "the model refuses to be copied": (Uncopyable, {}, "the copy of the model", 4, "a licence forbids copies"),
    "a hook raises": (Hooked, {"keep_hooks": True}, "the first look", 4, "somebody else ran this model"),
    "the logger raises": (Model, {"log": Logger("log", OSError("quota"))}, "Logger.log", 4, "quota"),
    "the logger raises what is no Exception": (Model, {"log": Logger("log", Stop("halt"))}, "Logger.log", 4, "halt"),
    "the logger cannot be closed": (Model, {"log": Logger("close", TimeoutError("flush"))}, "Logger.close", 1, "flush"),
    "the logger has no words": (Model, {"log": Logger("log", Unspeakable())}, "Logger.log", 4, "Unspeakable"),
    "the clock raises": (Model, {"clock": lambda: raising(OSError("no clock"))}, "the monitor", STEPS + 1, "no clock"),
}  # fmt: skip


@pytest.fixture(scope="module")
def alone():
    known = {}

    def of(model_class):
        base = next(kind for kind in (InPlace, Hooked, Model) if issubclass(model_class, kind))
        if base not in known:
            known[base] = trained(base, False)[0]
        return known[base]

    return of


@pytest.mark.parametrize("strict", [False, True], ids=["", "-W error"])
@pytest.mark.parametrize("fault", FAULTS)
def test_the_training_goes_on_to_the_last_bit(fault, strict, alone):
    model_class, options, where, count, words = FAULTS[fault]
    with warnings.catch_warnings(record=not strict) as heard:
        warnings.simplefilter("error" if strict else "always")
        beside, monitor = trained(model_class, True, **options)
    assert_equal(beside, alone(model_class))
    failures, usage = monitor.usage.failures, monitor.usage
    assert {failure.where for failure in failures} <= ({where} if isinstance(where, str) else set(where))
    total = sum(failure.count for failure in failures)
    assert total == count or (count is None and total > 0)
    assert usage.failed == (0 if "logger" in fault or "clock" in fault else total)
    assert words in failures[0].message
    for failure in failures:
        assert "\n" not in failure.message
        assert 0 < len(failure.message) <= 300
        assert f"{failure.count} failed in {failure.where}, the first at step {failure.step}" in usage.sentence
    if not strict:
        said = [str(one.message) for one in heard if issubclass(one.category, ModelWarning)]
        told = [line for line in said if "Watching failed in" in line]
        assert len(told) == len(failures), "once for each place"
        assert all("hooks were left out" in line for line in said if line not in told)


# What looks like trouble and is none: snapshots are made.
HARMLESS = {
    "the factory leaves its marks": Quiet,
    "a lock": Locked,
    "a hook that raises is left out": Hooked,
    "in-place operations": InPlace,
    "a warning": Warns,
    "a compiled function": CompiledFunction,
    "compiled and parallel parts": CompiledParts,
    "a compiled method": CompiledMethod,
}


@pytest.mark.parametrize("strict", [False, True], ids=["", "-W error"])
@pytest.mark.parametrize("kind", HARMLESS)
def test_snapshots_are_made_and_the_training_does_not_notice(kind, strict):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.compiler.reset()
        COMPILED.clear()
        without, _ = trained(HARMLESS[kind], False)
        compiled = list(COMPILED)
        if strict and not compiled:  # torch warns while it compiles
            warnings.simplefilter("error")
        torch.compiler.reset()
        COMPILED.clear()
        beside, monitor = trained(HARMLESS[kind], True)
    assert_equal(beside, without)
    assert compiled == COMPILED, "the monitor adds nothing to the compiled code of the training"
    assert bool(compiled) == ("compiled" in kind)
    assert monitor.usage.failures == ()
    assert [(shot.step, shot.searched) for shot in monitor.history] == [(0, True), (2, True), (4, True), (6, True)]


def test_a_search_that_fails_leaves_its_glance():
    with pytest.warns(ModelWarning, match="Watching failed in the search at step 0"):
        _, monitor = trained(breaking(RuntimeError("boom"), 30), True)
    glances = [shot for shot in monitor.history if not shot.searched]
    assert glances
    assert not any(shot.cut for shot in glances)
    assert monitor.usage.glances == monitor.usage.failed == len(glances)
    assert monitor.usage.failures[0] == Failure("the search", len(glances), 0, "RuntimeError: boom")


def test_one_failing_logger_does_not_keep_the_others_from_anything(tmp_path):
    first, last, path = Logger("log", Stop("halt")), Logger("close", Stop("halt")), tmp_path / "lines.jsonl"
    with pytest.warns(ModelWarning) as heard:
        _, monitor = trained(Model, True, log=[first, last, path])
    assert len(first.records) == len(last.records) == len(path.read_text().splitlines()) == len(monitor.history) == 4
    assert [failure.where for failure in monitor.usage.failures] == ["Logger.log", "Logger.close"]
    assert len(heard) == 2


def test_a_full_disk_loses_what_does_not_fit_and_leaves_whole_lines(tmp_path, monkeypatch):
    path = tmp_path / "lines.jsonl"
    path.write_text('{"step": 0}\n{"step": 1, "sett')  # a training that was killed while it wrote
    logger = JSONLinesLogger(path)
    logger.log({"step": 2})

    class Full:
        """Takes the first bytes and no more, as a disk does."""

        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            self.file.write(data[:5])
            self.file.flush()
            no_space()

        def __getattr__(self, name):
            return getattr(self.file, name)

    opened = type(path).open
    with monkeypatch.context() as patch:
        patch.setattr(type(path), "open", lambda self, *args, **options: Full(opened(self, *args, **options)))
        with pytest.raises(OSError, match="No space left"):
            logger.log({"step": 3})
    logger.log({"step": 4})
    lines = path.read_text().splitlines()
    assert lines[1] == '{"step": 1, "sett', "what others wrote is not ours to remove"
    assert [json.loads(line)["step"] for line in (lines[0], *lines[2:])] == [0, 2, 4]


# -- what is meant for the training ----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [KeyboardInterrupt(), SystemExit(3)])
def test_an_order_to_stop_passes_and_leaves_nothing_behind(order):
    model = breaking(order, 12)()
    monitor = DynamicsMonitor(model.field, sx.starts.gaussian(8, seed=0), 2, max_share=None, log=None, protocol=QUICK)
    before = torch.get_rng_state().tolist(), [part.training for part in model.modules()]
    with pytest.raises(type(order)):
        monitor.step(0)
    assert before == (torch.get_rng_state().tolist(), [part.training for part in model.modules()])
    assert monitor.usage.failures == ()


@contextmanager
def handled(number, handler):
    """The signal's handler and its place in the mask, whatever they were."""
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    known = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, known)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class Deadline:
    def __init__(self, error):
        self.error = error

    def plain(self, number, frame):
        raise self.error

    def __call__(self, *arguments):
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # one is enough
        raise self.error


@pytest.mark.parametrize("error", [TimeoutError("the job's time is up"), Stop("preempted")])
@pytest.mark.parametrize("kind", ["function", "method", "object"])
def test_a_deadline_of_the_training_passes(error, kind):
    deadline = Deadline(error)

    def function(number, frame):
        raise error

    handler = {"function": function, "method": deadline.plain, "object": deadline}[kind]

    def map_of(z):
        signal.raise_signal(signal.SIGALRM)
        return 0.5 * z

    field = LatentField.from_map(map_of, latent_shape=2)
    monitor = DynamicsMonitor(field, sx.starts.gaussian(8, seed=0), 2, max_share=None, log=None, protocol=QUICK)
    with handled(signal.SIGALRM, handler), pytest.raises(type(error)):
        monitor.step(0)
    assert monitor.usage.failures == ()


def test_what_the_caller_is_handling_is_not_taken_for_an_order():
    """`finish` in the `except KeyboardInterrupt` of a training loop: what fails then is a failure like any other."""
    _, monitor = trained(Model, True, log=None)
    monitor._loggers = (Logger("close", OSError("gone")),)
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        with pytest.warns(ModelWarning, match="gone"):
            monitor.finish()
    assert monitor.usage.failures[0].where == "Logger.close"


def test_warnings_of_the_library_are_said_once_and_never_raised():
    class Sampled(Model):
        def field(self, *args, **options):
            field = DenseAutoencoder.field(self)
            encode = field._encode
            return LatentField(torch.no_grad()(lambda x: encode(x)), field._decode, latent_shape=2)

    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        _, monitor = trained(Sampled, True)
    said = [str(one.message) for one in heard]
    assert len(said) == len(set(said))
    assert not any(issubclass(one.category, ConvergenceWarning) for one in heard)
    assert monitor.usage.failures == ()


def test_global_hooks_see_only_the_training():
    seen = []
    handle = nn.modules.module.register_module_forward_hook(lambda *_: seen.append(1))
    try:
        without, _ = trained(Model, False)
        count = len(seen)
        beside, _ = trained(Model, True)
    finally:
        handle.remove()
    assert len(seen) == 2 * count > 0
    assert_equal(beside, without)


# -- what is wrong before the training ---------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [None, 3, Model(), "model"])
def test_a_wrong_argument_still_raises(given):
    with pytest.raises(InputError, match="field_factory must be a LatentField or a function"):
        DynamicsMonitor(given, sx.starts.gaussian(8), 2, log=None)
