"""P-DQN and MP-DQN as a user of PyTorch would write them: eager, with its layers and its Adam."""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from benchmarks.baseline import Batch, Problem


class TorchAgent:
    """The agent of `Baseline` on one thread, which is fastest for networks this small."""

    def __init__(self, problem: Problem) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(1)
        self.problem, spec, learner = problem, problem.spec, problem.learner
        self.owned = torch.from_numpy(spec.owned)  # [K, P]
        inputs = problem.features + spec.num_parameters
        self.q = _network(inputs, learner.q.hidden, spec.num_actions)
        self.x = _network(problem.features, learner.parameters.hidden, spec.num_parameters)
        self.target_q, self.target_x = copy.deepcopy(self.q), copy.deepcopy(self.x)
        self.optimise_q = torch.optim.Adam(self.q.parameters(), learner.q.learning_rate)
        self.optimise_x = torch.optim.Adam(self.x.parameters(), learner.parameters.learning_rate)

    @torch.no_grad()
    def act(self, s: np.ndarray) -> tuple[int, np.ndarray]:
        rows = torch.from_numpy(s)[None]
        x = self.x(rows)
        return int(self.values(self.q, rows, x).argmax()), x[0].numpy()

    def values(self, q: nn.Module, s: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """[B, K]; for MP-DQN the diagonal of K passes, each with one action's parameters."""
        if not self.problem.multi_pass:
            return q(torch.cat([s, x], dim=1))
        num_actions, batch = len(self.owned), len(s)
        own = x[None] * self.owned[:, None]  # [K, B, P]
        passes = torch.cat([s.expand(num_actions, -1, -1), own], dim=2)
        values = q(passes.reshape(num_actions * batch, -1)).reshape(num_actions, batch, -1)
        return values.diagonal(dim1=0, dim2=2)

    def learn(self, batch: Batch) -> None:
        learner = self.problem.learner
        s, x, a, r, terminated, s_next = (torch.from_numpy(part) for part in batch)
        with torch.no_grad():
            best = self.values(self.target_q, s_next, self.target_x(s_next)).max(dim=1).values
            y = r * learner.reward_scale + learner.gamma * (1 - terminated) * best
        taken = self.values(self.q, s, x).gather(1, a.long()[:, None])[:, 0]
        self._descend(self.optimise_q, self.q, nn.functional.smooth_l1_loss(taken, y))

        with torch.no_grad():
            chosen = self.x(s)
        chosen.requires_grad_(True)
        self.values(self.q, s, chosen).sum(dim=1).mean().backward()
        ascent = chosen.grad
        room = torch.where(ascent > 0, 1 - chosen.detach(), chosen.detach() + 1) / 2
        self._descend(self.optimise_x, self.x, -(ascent * room * self.x(s)).sum())
        for network, target, tau in (
            (self.q, self.target_q, learner.q.tau),
            (self.x, self.target_x, learner.parameters.tau),
        ):
            for weight, old in zip(network.parameters(), target.parameters(), strict=True):
                old.data.lerp_(weight.data, tau)

    def _descend(self, optimiser: torch.optim.Adam, network: nn.Module, loss: torch.Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()
        if self.problem.learner.gradient_clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), self.problem.learner.gradient_clip)
        optimiser.step()


def _network(inputs: int, hidden: tuple[int, ...], outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise([inputs, *hidden]):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], outputs))
