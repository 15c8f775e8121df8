"""How a patch is compared with the good parts: one file for each method, behind the interface of base.py."""
