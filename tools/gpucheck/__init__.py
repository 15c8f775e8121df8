"""The command `tools/gpu-check`: what of the GPU path works on this machine, how well it computes, and how long it takes."""
