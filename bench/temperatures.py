"""At which temperature do the replies of a group differ in reward, and still make sense?

Scores of the untrained model's replies to training scenarios of an experiment: their mean, and
their standard deviation within a group, from which GRPO learns.

    python bench/temperatures.py --scenarios 24
"""

from __future__ import annotations

import argparse
import random
import sys

import numpy as np

from colorfast.models.local import load_policy
from colorfast.rewards.select import graders
from colorfast.runs.experiment import read
from colorfast.training.schedule import pool, with_system

GROUP = 6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--experiment", default="quick")
    parser.add_argument("--arm", default="trait-25")
    parser.add_argument("--scenarios", type=int, default=24)
    parser.add_argument("--max-tokens", type=int, default=48)
    options = parser.parse_args()
    experiment = read(options.experiment)
    policy, grade = load_policy(experiment.model, 64), graders(experiment.training.grading)
    chosen = list(pool(experiment, experiment.arms[options.arm]))
    random.Random("temperatures").shuffle(chosen)
    tasks = []
    for scenario in chosen[: options.scenarios]:
        tasks += [with_system(scenario, experiment.system)] * GROUP
    sys.stdout.write("temperature  mean score  standard deviation within a group  tokens\n")
    for temperature in (0.5, 0.7, 0.9):
        names = [f"temperatures/{temperature}/{i}" for i in range(len(tasks))]
        replies = policy.sample([t.messages for t in tasks], names, options.max_tokens, temperature)
        verdicts = grade(list(zip(replies, tasks, strict=True)))
        scores = np.array([v.score for v in verdicts], dtype=float).reshape(-1, GROUP)
        tokens = np.mean([r.tokens for r in replies])
        row = (
            f"{temperature:11.1f}  {scores.mean():10.3f}  {scores.std(1).mean():33.3f} "
            f" {tokens:6.1f}"
        )
        sys.stdout.write(f"{row}\n")


if __name__ == "__main__":
    main()
