"""The camera process: acquisition through harvesters, checks, and the copy into the ring."""
