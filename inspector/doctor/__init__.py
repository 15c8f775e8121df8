"""The command `inspector doctor`: what this machine is, what Inspector will make of it, and what to change. It changes nothing."""
