"""Viper's words in plain Python, so that the hot loops run as they stand on CPython and as bytecode."""

try:
    import micropython
except ImportError:

    class micropython:  # noqa: N801 - stands in for the module
        @staticmethod
        def viper(function: object) -> object:
            return function


def ptr8(data: object) -> object:
    """A bytes-like object, read and written by index."""
    return data


ptr32 = ptr8  # an array('i')

__all__ = ["micropython", "ptr8", "ptr32"]
