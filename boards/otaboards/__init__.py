"""Boards, and the MicroPython runtime they run on."""
