"""The four identities that events and effects speak of. Nothing else lives here."""

from typing import NewType

ModelId = NewType("ModelId", str)
"""A model's key in the configuration, never an alias."""

Ticket = NewType("Ticket", int)
"""One client request, numbered from 1 in order of arrival."""

Run = NewType("Run", int)
"""One life of one model's process, numbered from 1 over all models."""

Order = NewType("Order", int)
"""One request to unload models, numbered from 1."""
