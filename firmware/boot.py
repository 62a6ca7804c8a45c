"""Started first of all. Empty on purpose: whatever stands here runs before the watchdog is armed."""
