"""The one exception that means "the input is at fault, not the program"."""


class UserError(Exception):
    """What was given cannot be used.

    The message is one line that says what is wrong, where, and what to do. The commands print it
    to stderr and end with exit status 2; in a notebook it is an ordinary exception.
    """
