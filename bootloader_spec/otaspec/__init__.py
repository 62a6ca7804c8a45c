"""The contract: formats, states, checks and decoders that every part shares. No I/O of its own."""

import sys

if sys.implementation.name != "micropython":
    from . import hotstrip

    hotstrip.install()
