"""Where app_new asks what it is."""

module = None  # set by the run: returns a module's name, in a fork for each release
