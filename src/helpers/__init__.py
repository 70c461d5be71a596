"""Shared helpers of Frontline Notebooks: one room a concern, imported one way (docs/rooms.md)."""

__version__ = "0.1.0"
