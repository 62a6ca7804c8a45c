"""Boards, and the MicroPython runtime they run on."""

from otaboards.loader import Board, all_boards, load, smallest_for

__all__ = ["Board", "all_boards", "load", "smallest_for"]
