"""The configuration: its schema, and loading it with file, line and column of each problem."""
