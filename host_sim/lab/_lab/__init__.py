"""The fault lab: agent, bootloader and flash in one process, cut by forks at operations of one's choice."""
