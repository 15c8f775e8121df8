"""The recorder process: everything slow, away from the parts."""
