"""What a host has to know also after its arena was lost: in its state folder, for each cluster that it was in."""

from pathlib import Path

from fastgate.budgets.leases.grace import Loans
from fastgate.budgets.leases.peers import Peers


class Notes:
    """``Notes(folder, cluster)``; without a folder, in memory."""

    def __init__(self, folder: Path | None = None, cluster: str = "") -> None:
        peers = folder and folder / f"peers-of-{cluster}"
        self.loans = Loans(folder and folder / f"loans-of-{cluster}", is_new=peers is None or not peers.exists())
        self.peers = Peers(peers)
