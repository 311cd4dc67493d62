"""The commands: each module reads its arguments, calls the library, and prints the result."""
