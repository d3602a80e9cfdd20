"""One JSON line per log record, for this package's plain loggers too."""

import logging

from aws_lambda_powertools import Logger


def configure() -> Logger:
    """Return the function's logger and let every ``logging.getLogger("handlers…")`` write through it.

    The core modules use the standard library's loggers; left alone, Lambda's root handler prints those as plain text
    and drops what is below WARNING.
    """
    logger = Logger()
    package = logging.getLogger("handlers")
    package.handlers = [*logger.handlers]
    package.setLevel(logger.log_level)
    package.propagate = False
    return logger
