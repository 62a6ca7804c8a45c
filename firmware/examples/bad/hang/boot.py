"""A bad release: it hangs before the agent could arm the watchdog."""

while True:
    pass
