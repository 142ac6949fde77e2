"""Training in several copies of an environment: their order, and that nothing else matters."""

from __future__ import annotations

import os
import signal
from contextlib import closing

import numpy as np
import pytest

from pamdp.base.calls import compiled
from pamdp.base.errors import EnvironmentFailure, PamdpError
from pamdp.base.lazy import tf
from pamdp.bridge.gymnasium import Gymnasium
from pamdp.learning import remote
from pamdp.learning.cell import Cell, learner_of
from pamdp.learning.copied import CopiedLoop, copy_seeds
from pamdp.learning.hosted import HostLoop
from pamdp.learning.loop import LoopState
from pamdp.learning.loops import loop_of
from pamdp.learning.remote import Remote, answered
from pamdp.learning.rollout import Command
from pamdp.learning.state import Actor, Transition
from tests.helpers import bytes_of, cell

NUMBER = 3
STEPS = 70  # no multiple of the copies
STARTS = 16


def task(environment: str = "pamdp/Platform-v0", copies: int = NUMBER) -> Gymnasium:
    return Gymnasium(kind="gymnasium", id=environment, training_copies=copies)


def subject(**settings) -> Cell:
    made = cell(
        "mpdqn",
        "reversal",
        learner__learning_starts=STARTS,
        learner__n_step={"steps": 3, "beta": 0.5},
        learner__replay_size=80,
        **settings,
    )
    return made.model_copy(update={"task": task()})


def trained(*lengths: int) -> LoopState:
    with closing(CopiedLoop(subject())) as loop:
        state = loop.initial(1)
        for length in lengths:
            state = loop.run(state, length)
        return tf.nest.map_structure(np.asarray, state)


@pytest.fixture(scope="module")
def whole() -> LoopState:
    return trained(STEPS)


def test_the_loop_follows_from_the_task() -> None:
    made = subject()
    with closing(loop_of(made)) as loop:
        assert type(loop) is CopiedLoop
    with closing(loop_of(made.model_copy(update={"task": task(copies=1)}))) as loop:
        assert type(loop) is HostLoop


def test_a_run_in_parts_is_the_same(whole) -> None:
    assert bytes_of(trained(1, 31, STEPS - 32)) == bytes_of(whole)


def test_steps_updates_and_episodes_are_those_of_all_copies(whole) -> None:
    learner = whole.learner
    assert learner.step == STEPS
    assert learner.statistics.updates == STEPS - STARTS + 1
    assert learner.statistics.episodes == learner.episodes > NUMBER


def test_transitions_of_a_copy_stand_so_many_rows_apart(whole) -> None:
    rows = whole.learner.replay[:STEPS]
    features = len(task().observation_low)
    s_tm1, s_t, ended = rows[:, :features], rows[:, -features:], rows[:, -features - 1]
    goes_on = ended[:-NUMBER] == 0
    assert goes_on.sum() > 10
    np.testing.assert_array_equal(s_t[:-NUMBER][goes_on], s_tm1[NUMBER:][goes_on])
    assert not np.array_equal(s_t[:-1], s_tm1[1:])


def test_it_is_the_learner_of_one_environment_taking_turns(whole) -> None:
    """The same in one process, a copy after the other, by the learner's own function."""
    functions = learner_of(subject())
    advance = compiled(functions.advance)
    environments = [task().make() for _ in range(NUMBER)]
    seeds = copy_seeds(1, NUMBER)
    observations = [e.reset(seed=s)[0] for e, s in zip(environments, seeds, strict=True)]
    state = functions.initial(tf.constant(1), tf.constant(observations[0]))
    noise = tf.zeros_like(state.noise)
    actors = [Actor.of(state)] + [
        Actor.of(functions.act(state._replace(step=tf.constant(-copy), noise=noise), first))
        for copy, first in enumerate(map(tf.constant, observations[1:]), start=1)
    ]
    spec = task().actions
    for step in range(STEPS):
        copy = step % NUMBER
        state = state._replace(**actors[copy]._asdict())
        index, scaled = state.choice
        command = Command.of(spec, index[None], scaled[None])
        action = spec.element(int(index), command.parameters[0].numpy())
        reward, *flags, following, observation = answered(environments[copy], action)
        given = Transition(
            tf.constant(reward, tf.float32),
            *map(tf.constant, flags),
            tf.constant(following),
            tf.constant(observation),
        )
        state = advance(state, given)
        actors[copy] = Actor.of(state)
    learner = whole.learner
    np.testing.assert_allclose(learner.replay, state.replay, rtol=1e-4, atol=1e-4)
    for one, other in zip(
        tf.nest.flatten((learner.q_network, learner.x_network)),
        tf.nest.flatten((state.q_network, state.x_network)),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    assert learner.episodes == int(state.episodes)


def test_copies_begin_differently_and_the_first_as_one_alone_would() -> None:
    with closing(CopiedLoop(subject())) as loop:
        actors = loop.initial(5).environment.actors
    with closing(HostLoop(subject().model_copy(update={"task": task(copies=1)}))) as loop:
        alone = loop.initial(5).learner
    assert bytes_of(tf.nest.map_structure(lambda rows: rows[0], actors)) == bytes_of(
        Actor.of(alone)
    )
    # Platform's episodes all begin alike; what is done in them differs.
    assert len({row.tobytes() for row in actors.choice.parameters.numpy()}) == NUMBER
    seeds = copy_seeds(5, NUMBER)
    assert seeds[0] == 5
    assert len({*seeds, *copy_seeds(6, NUMBER)}) == 2 * NUMBER
    assert copy_seeds(5, NUMBER + 1)[:NUMBER] == seeds


def test_the_memory_has_to_hold_the_steps_of_all_copies() -> None:
    made = subject().model_dump()
    made["learner"] |= {"replay_size": 40, "n_step": {"steps": 20, "beta": 0.5}}
    with pytest.raises(ValueError, match=r"learner.n_step.steps: .* 40 transitions .* received 60"):
        Cell.model_validate(made)


# -- Processes -------------------------------------------------------------------------------------


def test_a_copy_uses_all_cores_although_its_maker_is_kept_to_one() -> None:
    given = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(given)})
    try:
        with closing(Remote(task())) as made:
            made.reset(1)
            made.receive()
            assert os.sched_getaffinity(made._process.pid) == remote.CORES
    finally:
        os.sched_setaffinity(0, given)


def test_an_environment_that_cannot_be_made_there_says_so() -> None:
    with closing(Remote(task("no_such_module:Thing-v0"))) as made:
        made.reset(1)
        with pytest.raises(PamdpError, match=r"(?s)no_such_module.*training_copies: expected"):
            made.receive()


def test_a_copy_whose_process_ends_is_named() -> None:
    with closing(Remote(task())) as made:
        made.reset(1)
        made.receive()
        os.kill(made._process.pid, signal.SIGKILL)
        made.step((0, ()))
        with pytest.raises(EnvironmentFailure, match=r"Platform.* process of a copy .*code -9"):
            made.receive()


def test_closed_processes_are_gone() -> None:
    made = Remote(task())
    made.reset(1)
    made.receive()
    made.close()
    assert not made._process.is_alive()


def test_there_are_not_more_copies_than_processes_can_be() -> None:
    with pytest.raises(ValueError, match="training_copies"):
        task(copies=1000)
