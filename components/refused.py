"""The error of everything that is refused where it is declared."""


class RefusedError(ValueError):
    """What was declared cannot be true; the message names the values and the fix."""
