"""The recorder: a process of its own that does everything slow, away from the parts.

`client` is the station's end and costs it microseconds; `__main__` is the process; both meet in `line`, the format of an
entry on its way. The entry's number is the whole protocol: the client numbers, the process writes in that order, and where
numbers are missing, for whatever reason, it writes one `dropped` entry that stands for them (I8).
"""
