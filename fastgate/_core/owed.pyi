from fastgate._core.journal import Journal
from fastgate._core.owner import Owner

def pay(owner: Owner, journal: Journal) -> int: ...
