"""A benchmark of four choice items for tests: no file, no network."""

from colorfast.types import Benchmark, Item, Message


def items() -> tuple[Item, ...]:
    return tuple(
        Item(
            id=f"little-{n}",
            messages=(Message(role="user", content=f"Is {n} an even number?"),),
            choices=("Yes", "No"),
            aligned=(n % 2,),
        )
        for n in range(4)
    )


BENCHMARKS = (Benchmark("little", "arithmetic", "choice", "truthfulness", (), items),)
