"""The host loop with several copies of an environment, each in a process of its own.

Copies take turns: transition t is that of copy `t mod N`. The learner does with it what it does in
one environment: it stores it, learns from a minibatch, and chooses the copy's next action with the
weights of that moment. So there are as many updates as transitions; steps, episodes, epsilon and
`learning_starts` count those of all copies. N such turns are one compiled call, after which copies
step side by side. In the replay memory what followed a transition stands N rows after it.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from pamdp.base.calls import Direct, on_cpu, once, pack, packed_like, unpack
from pamdp.base.lazy import tf
from pamdp.learning.cell import learner_of
from pamdp.learning.hosted import HostedPrograms, HostLoop, packed_answer
from pamdp.learning.loop import LoopState
from pamdp.learning.remote import Remote
from pamdp.learning.state import Actor, LearnerState


class Side(NamedTuple):
    """What `LoopState` has for the environments.

    Attributes:
      answers: [N, A] the packed `Answer` that each copy gets next.
      actors: the `Actor` of each copy, stacked.
    """

    answers: tf.Tensor
    actors: Actor


class CopiedPrograms(HostedPrograms):
    """The functions of cells with several copies of a Gymnasium environment."""

    @once
    def turns(self) -> Direct:
        """(values, learner and actors, replay memory, transitions [N, T], [2] int32) to answers.

        The numbers are the first copy whose turn it is, and how many there are. Answers are those
        of all copies.
        """
        row = self.like.replay.shape[1]
        replay = tf.Variable(tf.zeros([0, row]), shape=[None, row])
        learner = tf.Variable(tf.zeros([0]), shape=[None])
        given = tf.TensorSpec([self._number, *packed_like(self.transition).shape])
        which = tf.TensorSpec([2], tf.int32)
        return Direct(self._turns, self.values, learner, replay, given, which)

    @property
    def packed_all(self) -> tuple[LearnerState, Actor]:
        """Shapes and types of what travels: the learner without its memory, and the actors."""
        actors = tf.nest.map_structure(
            lambda leaf: tf.TensorSpec([self._number, *leaf.shape], leaf.dtype), Actor.of(self.like)
        )
        return self.packed_learner, actors

    @property
    def _number(self) -> int:
        return self.component.task.side_by_side

    def _turns(
        self,
        values: tf.Tensor,
        learner: tf.Variable,
        replay: tf.Variable,
        transitions: tf.Tensor,
        which: tf.Tensor,
    ) -> tf.Tensor:
        self.count("turns")
        like = self.packed_all
        rows = tf.ensure_shape(replay.read_value(), self.like.replay.shape)
        vector = tf.ensure_shape(learner.read_value(), packed_like(like).shape)
        state, actors = unpack(vector, like)

        def turn(i: tf.Tensor, state: LearnerState, actors: Actor) -> tuple:
            own = tf.nest.map_structure(lambda rows: rows[i], actors)
            functions = learner_of(self.bound(values))  # no invariant: see `CompiledPrograms`
            transition = unpack(transitions[i], self.transition)
            state = functions.advance(state._replace(**own._asdict()), transition)
            actors = tf.nest.map_structure(
                lambda rows, row: tf.tensor_scatter_nd_update(rows, [[i]], row[None]),
                actors,
                Actor.of(state),
            )
            return i + 1, state, actors

        first, count = tf.unstack(which)
        start = first, state._replace(replay=rows), actors
        _, state, actors = tf.while_loop(lambda i, *_: i < first + count, turn, start)
        replay.assign(state.replay)
        learner.assign(pack((state._replace(replay=()), actors)))
        return _answers(learner_of(self.bound(values)).policy, actors, self._number)


class CopiedLoop(HostLoop):
    """Training in several copies of a Gymnasium environment."""

    functions = CopiedPrograms

    @cached_property
    def remotes(self) -> list[Remote]:
        """The copies of training."""
        made = [Remote(self.task) for _ in range(self.task.side_by_side)]
        self._made += made
        return made

    def initial(self, seed: int) -> LoopState:
        """The state before the first step; the environments are seeded, too.

        Copy 0 has the seed, the others have seeds that follow from it. The first choice of copy i
        draws what an action number -i would.
        """
        for remote, own in zip(self.remotes, copy_seeds(seed, len(self.remotes)), strict=True):
            remote.reset(own)
        observations = [remote.receive() for remote in self.remotes]
        functions = learner_of(self.cell)
        with on_cpu():
            learner = functions.initial(tf.constant(seed), tf.constant(observations[0]))
            actors, noise = [Actor.of(learner)], tf.zeros_like(learner.noise)
            for copy, observation in enumerate(observations[1:], start=1):
                before = learner._replace(step=tf.constant(-copy), noise=noise)
                learner = functions.act(before, tf.constant(observation))
                actors.append(Actor.of(learner))
            every = tf.nest.map_structure(lambda *leaves: tf.stack(leaves), *actors)
            answers = _answers(functions.policy, every, len(actors))
            learner = learner._replace(step=tf.constant(0), replay=tf.Variable(learner.replay))
            return LoopState(Side(answers, every), tf.zeros([1], tf.int32), learner)

    def run(self, state: LoopState, num_steps: int) -> LoopState:
        """The state some steps, of all copies together, later."""
        (answers, actors), elapsed, learner = state
        programs, replay, remotes = self.programs, learner.replay, self.remotes
        with on_cpu():
            vector = tf.Variable(pack((learner._replace(replay=()), actors)))
        fixed = self.values, vector.handle, replay.handle
        step = int(learner.step)
        end = step + num_steps
        transitions = np.zeros([len(remotes), *packed_like(programs.transition).shape], np.float32)
        while step < end:
            first = step % len(remotes)
            count = min(len(remotes) - first, end - step)
            turns, rows = range(first, first + count), answers.numpy()
            for copy in turns:
                remotes[copy].step(self._action(rows[copy]))
            for copy in turns:
                transitions[copy] = programs.transitions.pack(*remotes[copy].receive())
            which = np.array([first, count], np.int32)
            (answers,) = programs.turns(*fixed, transitions, which)
            step += count
        with on_cpu():
            learner, actors = unpack(vector.read_value(), programs.packed_all)
        return LoopState(Side(answers, actors), elapsed, learner._replace(replay=replay))


def copy_seeds(seed: int, number: int) -> list[int]:
    """What the copies are seeded with: the first with the seed, the others by words from it."""
    words = np.random.SeedSequence(seed, spawn_key=(1,)).generate_state(number - 1)
    return [seed, *(int(word) >> 1 for word in words)]


def _answers(policy: Any, actors: Actor, number: int) -> tf.Tensor:
    choices = [
        tf.nest.map_structure(lambda rows, i=i: rows[i], actors.choice) for i in range(number)
    ]
    return tf.stack([packed_answer(policy, choice) for choice in choices])
