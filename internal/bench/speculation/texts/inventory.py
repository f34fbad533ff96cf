"""Keep track of parts in a small workshop: what is there, where it lies, what it costs."""

import csv
import sys
from dataclasses import dataclass, field
from datetime import date


@dataclass
class Part:
    number: str
    name: str
    shelf: str
    count: int = 0
    price: float = 0.0
    ordered: date | None = None


@dataclass
class Inventory:
    parts: dict[str, Part] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    def add(self, part: Part) -> None:
        if part.number in self.parts:
            raise ValueError(f"part {part.number} exists already")
        self.parts[part.number] = part
        self.log.append(f"added {part.number} on shelf {part.shelf}")

    def take(self, number: str, count: int) -> Part:
        part = self.find(number)
        if count <= 0:
            raise ValueError("count must be positive")
        if part.count < count:
            raise ValueError(f"only {part.count} of {part.name} left")
        part.count -= count
        self.log.append(f"took {count} of {number}")
        return part

    def restock(self, number: str, count: int, price: float) -> Part:
        part = self.find(number)
        if count <= 0:
            raise ValueError("count must be positive")
        total = part.count * part.price + count * price
        part.count += count
        part.price = total / part.count
        part.ordered = None
        self.log.append(f"restocked {count} of {number}")
        return part

    def find(self, number: str) -> Part:
        try:
            return self.parts[number]
        except KeyError:
            raise ValueError(f"no part {number}") from None

    def order(self, number: str, when: date) -> Part:
        part = self.find(number)
        if part.ordered is not None:
            raise ValueError(f"{part.name} is on order since {part.ordered}")
        part.ordered = when
        self.log.append(f"ordered {number}")
        return part

    def value(self) -> float:
        return sum(part.count * part.price for part in self.parts.values())

    def scarce(self, least: int) -> list[Part]:
        found = [part for part in self.parts.values() if part.count < least]
        return sorted(found, key=lambda part: (part.count, part.number))


def load(path: str) -> Inventory:
    inventory = Inventory()
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            inventory.add(
                Part(
                    number=row["number"],
                    name=row["name"],
                    shelf=row["shelf"],
                    count=int(row["count"]),
                    price=float(row["price"]),
                )
            )
    return inventory


def report(inventory: Inventory, least: int) -> None:
    for part in inventory.scarce(least):
        state = f"ordered {part.ordered}" if part.ordered else "not ordered"
        print(f"{part.number:10} {part.name:30} {part.count:5} {state}")
    print(f"{len(inventory.parts)} parts worth {inventory.value():.2f}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: inventory.py FILE")
    report(load(sys.argv[1]), least=5)
