"""The exact elastic net: from activations in blocks to weights at a stated KKT tolerance.

`minimise.Solver` is the way in; it says how the parts work together.
"""
