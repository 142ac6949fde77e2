"""P-DQN and MP-DQN as a user of TensorFlow would write them: one `tf.function` for an update."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import tensorflow as tf

from benchmarks.baseline import Batch, Problem

Layers = list[tuple[tf.Variable, tf.Variable]]


class TensorFlowAgent:
    """The agent of `Baseline` with variables, tapes and graph functions, without XLA."""

    def __init__(self, problem: Problem) -> None:
        tf.random.set_seed(1)
        self.problem, spec, learner = problem, problem.spec, problem.learner
        self.owned = tf.constant(spec.owned)  # [K, P]
        inputs = problem.features + spec.num_parameters
        sizes_q = [inputs, *learner.q.hidden, spec.num_actions]
        sizes_x = [problem.features, *learner.parameters.hidden, spec.num_parameters]
        self.q, self.target_q = _layers(sizes_q), _layers(sizes_q)
        self.x, self.target_x = _layers(sizes_x), _layers(sizes_x)
        self.adam_q, self.adam_x = Adam(self.q), Adam(self.x)
        self.act_function, self.learn_function = tf.function(self._act), tf.function(self._learn)

    def act(self, s: np.ndarray) -> tuple[int, np.ndarray]:
        action, x = self.act_function(tf.constant(s[None]))
        return int(action), x.numpy()

    def learn(self, batch: Batch) -> None:
        self.learn_function(*(tf.constant(part) for part in batch))

    def values(self, q: Layers, s: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """[B, K]; for MP-DQN the diagonal of K passes, each with one action's parameters."""
        if not self.problem.multi_pass:
            return _apply(q, tf.concat([s, x], axis=1))
        num_actions, batch = len(self.owned), s.shape[0]
        own = x[None] * self.owned[:, None]  # [K, B, P]
        passes = tf.concat([tf.repeat(s[None], num_actions, axis=0), own], axis=2)
        flat = _apply(q, tf.reshape(passes, [num_actions * batch, passes.shape[2]]))
        values = tf.reshape(flat, [num_actions, batch, num_actions])
        return tf.linalg.diag_part(tf.transpose(values, [1, 0, 2]))

    def _act(self, s: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x = _apply(self.x, s)
        return tf.argmax(self.values(self.q, s, x)[0]), x[0]

    def _learn(
        self,
        s: tf.Tensor,
        x: tf.Tensor,
        a: tf.Tensor,
        r: tf.Tensor,
        terminated: tf.Tensor,
        s_next: tf.Tensor,
    ) -> None:
        learner = self.problem.learner
        best = tf.reduce_max(self.values(self.target_q, s_next, _apply(self.target_x, s_next)), 1)
        y = r * learner.reward_scale + learner.gamma * (1 - terminated) * best
        with tf.GradientTape() as tape:
            values = self.values(self.q, s, x)
            error = y - tf.gather(values, tf.cast(a, tf.int32), batch_dims=1)
            size = tf.abs(error)
            loss = tf.reduce_mean(tf.where(size <= 1, 0.5 * error**2, size - 0.5))
        self._descend(self.adam_q, tape.gradient(loss, self.adam_q.weights), learner.q)

        with tf.GradientTape() as tape:
            chosen = _apply(self.x, s)
        with tf.GradientTape() as value_tape:
            value_tape.watch(chosen)
            value = tf.reduce_mean(tf.reduce_sum(self.values(self.q, s, chosen), axis=1))
        ascent = value_tape.gradient(value, chosen)
        ascent *= tf.where(ascent > 0, 1 - chosen, chosen + 1) / 2
        gradient = tape.gradient(chosen, self.adam_x.weights, output_gradients=-ascent)
        self._descend(self.adam_x, gradient, learner.parameters)
        for network, target, tau in (
            (self.q, self.target_q, learner.q.tau),
            (self.x, self.target_x, learner.parameters.tau),
        ):
            for weight, old in zip(_flat(network), _flat(target), strict=True):
                old.assign_add(tau * (weight - old))

    def _descend(self, adam: Adam, gradients: list, settings) -> None:
        if self.problem.learner.gradient_clip is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, self.problem.learner.gradient_clip)
        adam.step(gradients, settings.learning_rate)


class Adam:
    """The optimiser; Keras, which has one, is not loaded here as it is not in this project."""

    def __init__(self, layers: Layers) -> None:
        self.weights = _flat(layers)
        self.first = [tf.Variable(tf.zeros_like(weight)) for weight in self.weights]
        self.second = [tf.Variable(tf.zeros_like(weight)) for weight in self.weights]
        self.count = tf.Variable(0.0)

    def step(self, gradients: list[tf.Tensor], rate: float) -> None:
        self.count.assign_add(1.0)
        rate *= tf.sqrt(1 - 0.999**self.count) / (1 - 0.9**self.count)
        for weight, g, m, v in zip(self.weights, gradients, self.first, self.second, strict=True):
            m.assign_add(0.1 * (g - m))
            v.assign_add(0.001 * (g * g - v))
            weight.assign_sub(rate * m / (tf.sqrt(v) + 1e-8))


def _layers(sizes: list[int]) -> Layers:
    return [
        (tf.Variable(tf.random.normal([i, o]) * (2 / i) ** 0.5), tf.Variable(tf.zeros([o])))
        for i, o in pairwise(sizes)
    ]


def _flat(layers: Layers) -> list[tf.Variable]:
    return [variable for layer in layers for variable in layer]


def _apply(layers: Layers, values: tf.Tensor) -> tf.Tensor:
    for kernel, bias in layers[:-1]:
        values = tf.nn.relu(values @ kernel + bias)
    kernel, bias = layers[-1]
    return values @ kernel + bias
