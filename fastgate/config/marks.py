"""Marks on settings that this version reads but does not carry out yet.

A setting so marked is an error ("not supported yet") when it is set to something other than its default, so that
nothing is accepted and ignored. Building one means taking its mark away.
"""

from typing import Final

from msgspec import Meta

PLANNED: Final = Meta(extra={"planned": True})
"""The whole setting is not built yet."""


def planned_values(*values: object) -> Meta:
    """These values of the setting are not built yet, the others are."""
    return Meta(extra={"planned_values": values})
