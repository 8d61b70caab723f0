#!/usr/bin/env python3
"""Sweeps two parameters of a simulation: foxes and rabbits, and when both survive.

    examples/python/sweep.py table.csv
"""

import argparse
import concurrent.futures
import csv
import pathlib
import time
import typing

import rpicluster


class Outcome(typing.NamedTuple):
    births: float  # of rabbits, a year and rabbit
    hunger: float  # foxes that starve, a year and fox
    rabbits: float  # the fewest that there were at any time, in thousands
    foxes: float  # likewise

    @property
    def margin(self) -> float:
        """How far the rarer of them was from dying out."""
        return min(self.rabbits, self.foxes)


def simulate(births: float, hunger: float, years: float) -> Outcome:
    """Lotka and Volterra's equations, in steps of about an hour."""
    rabbits, foxes = 10.0, 5.0
    fewest_rabbits, fewest_foxes = rabbits, foxes
    step = 1e-4
    for _ in range(int(years / step)):
        eaten = 0.1 * rabbits * foxes
        rabbits, foxes = (rabbits + step * (births * rabbits - eaten),
                          foxes + step * (0.5 * eaten - hunger * foxes))
        fewest_rabbits = min(fewest_rabbits, rabbits)
        fewest_foxes = min(fewest_foxes, foxes)
    return Outcome(births, hunger, fewest_rabbits, fewest_foxes)


def main() -> None:
    parser = argparse.ArgumentParser(description="Sweep two parameters of a simulation.")
    parser.add_argument("table", type=pathlib.Path, help="where to write the outcomes (CSV)")
    parser.add_argument("--steps", type=int, default=16, help="values of each parameter")
    parser.add_argument("--years", type=float, default=40)
    options = parser.parse_args()

    values = [0.2 + 1.6 * step / options.steps for step in range(options.steps)]
    began = time.monotonic()
    with rpicluster.Cluster(name="sweep") as cluster, \
            options.table.open("w", newline="", encoding="utf-8") as file:
        futures = [cluster.submit(simulate, births, hunger, options.years)
                   for births in values for hunger in values]
        writer = csv.writer(file)
        writer.writerow([*Outcome._fields, "margin"])
        outcomes = []
        for future in concurrent.futures.as_completed(futures):
            outcomes.append(future.result())
            writer.writerow([*outcomes[-1], outcomes[-1].margin])
    best = max(outcomes, key=lambda outcome: outcome.margin)
    print(f"{len(outcomes)} simulations after {time.monotonic() - began:.1f} s; best for both:"
          f" births {best.births:.2f}, hunger {best.hunger:.2f}")


if __name__ == "__main__":
    main()
