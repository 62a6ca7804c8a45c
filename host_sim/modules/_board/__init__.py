"""What a simulated board is made of: flash, RTC memory, faults. Firmware uses esp32, machine, network."""
