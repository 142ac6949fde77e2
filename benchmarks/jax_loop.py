"""MP-DQN on Platform as an expert of JAX would write it: environment and learner in one program.

The loop is one `fori_loop`, networks and optimiser are plain JAX and Optax, in the manner of
purejaxrl. `values` is written twice: K passes by `vmap`, as one does it first, and as this project
does it, where only the block of each action's own parameters is computed K times.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from benchmarks import jax_platform as platform
from pamdp.learning.learner_settings import LearnerSettings

S, K = 9, 3  # features; actions, of one parameter each
TIME_LIMIT = 200


class Network(NamedTuple):
    """Two layers: kernels [I, H] and [H, O]."""

    kernel: Array
    bias: Array
    kernel_out: Array
    bias_out: Array

    def __call__(self, inputs: Array) -> Array:
        hidden = jax.nn.relu(inputs @ self.kernel + self.bias)
        return hidden @ self.kernel_out + self.bias_out


class Batch(NamedTuple):
    """Transitions; s and x are scaled."""

    s: Array
    x: Array
    action: Array
    reward: Array
    continues: Array
    next_s: Array


class Trained(NamedTuple):
    """A network, its target network and the state of its optimiser."""

    online: Network
    target: Network
    optimiser: Any


class State(NamedTuple):
    """A run at a step."""

    environment: platform.State
    elapsed: Array
    action: Array
    x: Array
    q: Trained
    policy: Trained
    memory: Batch
    steps: Array
    episodes: Array
    key: Array


def passes(q: Network, s: Array, x: Array) -> Array:
    """[B, K] values: the diagonal of K passes, each with one action's parameters."""
    return jnp.diagonal(
        jax.vmap(lambda own: q(jnp.concatenate([s, x * own], axis=-1)))(jnp.eye(K)),
        axis1=0,
        axis2=2,
    )


def blocks(q: Network, s: Array, x: Array) -> Array:
    """The same, with what the passes share computed once and only the diagonal of their outputs."""
    shared = s @ q.kernel[:S] + q.bias
    hidden = jax.nn.relu(shared + x.T[:, :, None] * q.kernel[S:][:, None])  # [K, B, H]
    return jnp.einsum("kbh,hk->bk", hidden, q.kernel_out) + q.bias_out


def joint(q: Network, s: Array, x: Array, action: Array) -> Array:
    """[B] values of the taken actions by `passes`."""
    return jnp.take_along_axis(passes(q, s, x), action[:, None], axis=1)[:, 0]


def single(q: Network, s: Array, x: Array, action: Array) -> Array:
    """The same by one pass."""
    own = jax.nn.one_hot(action, K)
    return (q(jnp.concatenate([s, x * own], axis=-1)) * own).sum(axis=-1)


class Loop:
    """The loop.

    Args:
      settings: hyper-parameters.
      shared: compute values by `blocks` and `single`, and not by `passes`.
    """

    def __init__(self, settings: LearnerSettings, shared: bool) -> None:
        self.settings = settings
        self.values: Callable[..., Array] = blocks if shared else passes
        self.taken: Callable[..., Array] = single if shared else joint
        clip = optax.clip_by_global_norm(settings.gradient_clip or jnp.inf)
        self.adam_q = optax.chain(clip, optax.adam(settings.q.learning_rate))
        self.adam_x = optax.chain(clip, optax.adam(settings.parameters.learning_rate))

    def initial(self, seed: int) -> State:
        """The state before the first step."""
        key, key_q, key_x, key_act = jax.random.split(jax.random.key(seed), 4)
        hidden = self.settings.q.hidden[0]
        q = _network(key_q, S + K, hidden, hidden**-0.5)
        x = _network(key_x, S, self.settings.parameters.hidden[0], 1e-4)
        environment = platform.initial()
        action, chosen = self._act(key_act, q, x, platform.observation(environment), jnp.int32(0))
        zeros = [
            jnp.zeros([self.settings.replay_size, *shape]) for shape in ([S], [K], [], [], [], [S])
        ]
        return State(
            environment=environment,
            elapsed=jnp.int32(0),
            action=action,
            x=chosen,
            q=Trained(q, q, self.adam_q.init(q)),
            policy=Trained(x, x, self.adam_x.init(x)),
            memory=Batch(*zeros)._replace(action=zeros[2].astype(jnp.int32)),
            steps=jnp.int32(0),
            episodes=jnp.int32(0),
            key=key,
        )

    def run(self, state: State, num_steps: Array) -> State:
        """The state some steps later; to be compiled."""
        return lax.fori_loop(0, num_steps, lambda _, state: self._step(state), state)

    def _step(self, state: State) -> State:
        settings = self.settings
        key, key_step, key_sample, key_act = jax.random.split(state.key, 4)
        s = _scaled(platform.observation(state.environment))
        parameter = (jnp.clip(state.x[state.action], -1, 1) + 1) / 2 * platform.HIGH[state.action]
        environment, reward, over = platform.step(
            key_step, state.environment, state.action, parameter
        )
        ended = over | (state.elapsed + 1 >= TIME_LIMIT)
        next_s = _scaled(platform.observation(environment))
        row = Batch(s, state.x, state.action, reward * settings.reward_scale, 1.0 - over, next_s)
        place = state.steps % settings.replay_size
        following = jax.tree.map(
            lambda new, old: jnp.where(ended, new, old), platform.initial(), environment
        )
        state = state._replace(
            environment=following,
            elapsed=jnp.where(ended, 0, state.elapsed + 1),
            memory=jax.tree.map(
                lambda column, value: column.at[place].set(value), state.memory, row
            ),
            steps=state.steps + 1,
            episodes=state.episodes + ended,
            key=key,
        )
        q, policy = lax.cond(
            state.steps >= settings.learning_starts,
            lambda: self.learn(state.q, state.policy, self._sample(state, key_sample)),
            lambda: (state.q, state.policy),
        )
        observed = platform.observation(following)
        action, x = self._act(key_act, q.online, policy.online, observed, state.episodes)
        return state._replace(q=q, policy=policy, action=action, x=x)

    def _act(
        self, key: Array, q: Network, policy: Network, observed: Array, episodes: Array
    ) -> tuple:
        epsilon = self.settings.epsilon
        key_random, key_action, key_x = jax.random.split(key, 3)
        s = _scaled(observed)[None]
        x = policy(s)
        progress = jnp.minimum(episodes / epsilon.episodes, 1.0)
        random = jax.random.uniform(key_random) < epsilon.start + progress * (
            epsilon.end - epsilon.start
        )
        action = jnp.where(
            random, jax.random.randint(key_action, [], 0, K), self.values(q, s, x)[0].argmax()
        )
        return action, jnp.where(random, jax.random.uniform(key_x, [K], minval=-1, maxval=1), x[0])

    def _sample(self, state: State, key: Array) -> Batch:
        filled = jnp.minimum(state.steps, self.settings.replay_size)
        rows = jax.random.randint(key, [self.settings.batch_size], 0, filled)
        return jax.tree.map(lambda column: column[rows], state.memory)

    def learn(self, q: Trained, policy: Trained, batch: Batch) -> tuple[Trained, Trained]:
        """One update of both networks, with inverting gradients."""
        settings = self.settings
        best = self.values(q.target, batch.next_s, policy.target(batch.next_s)).max(axis=-1)
        target = batch.reward + settings.gamma * batch.continues * best

        def loss(online: Network) -> Array:
            return optax.huber_loss(
                self.taken(online, batch.s, batch.x, batch.action), target
            ).mean()

        x, back = jax.vjp(lambda online: online(batch.s), policy.online)
        ascent = jax.grad(lambda x: self.values(q.online, batch.s, x).sum(axis=-1).mean())(x)
        ascent *= jnp.where(ascent > 0, 1 - x, x + 1) / 2
        new_q = _descended(q, jax.grad(loss)(q.online), self.adam_q, settings.q.tau)
        (gradient,) = back(-ascent)
        return new_q, _descended(policy, gradient, self.adam_x, settings.parameters.tau)


def _descended(network: Trained, gradient: Network, adam: Any, tau: float) -> Trained:
    change, optimiser = adam.update(gradient, network.optimiser)
    online = optax.apply_updates(network.online, change)
    return Trained(online, optax.incremental_update(online, network.target, tau), optimiser)


def _network(key: Array, inputs: int, hidden: int, size: float) -> Network:
    first, last = jax.random.split(key)
    return Network(
        jax.random.normal(first, [inputs, hidden]) * (2 / inputs) ** 0.5,
        jnp.zeros(hidden),
        jax.random.normal(last, [hidden, K]) * size,
        jnp.zeros(K),
    )


def _scaled(observed: Array) -> Array:
    """From [0, 1] to [-1, 1]."""
    return 2 * observed - 1
