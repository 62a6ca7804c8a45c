"""A bad release: it cannot even be imported."""

import a_module_that_was_forgotten  # noqa: F401
