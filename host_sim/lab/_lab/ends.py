"""How a boot of the lab ends. BaseException: no `except Exception` of the firmware may hold one up."""


class Ends(BaseException):
    """`cause`: machine.reset_cause() of the boot that follows."""

    cause = 2


class PowerCut(Ends):
    cause = 1


class Reset(Ends):
    """machine.reset(), or abort() of ESP-IDF."""


class Bitten(Ends):
    """The watchdog."""

    cause = 3


class Stuck(Ends):
    """Nothing goes on and no watchdog runs: somebody has to pull the plug."""

    cause = 1


class Settled(Ends):
    """The board polls and finds nothing to do: the run is over."""


class Endless(Ends):
    """Days have passed and the board has not settled."""
