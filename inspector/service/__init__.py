"""The surroundings of the daemon: service manager, real-time settings, counters that outlive a crash."""
