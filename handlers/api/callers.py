"""Who a caller is: the first key, which lies in a secret, or one of those in the database."""

from handlers.api.parts import keys
from handlers.common import services
from handlers.common.secrets import SecretError
from handlers.common.stored_keys import StoredKeys


def owner(presented: str) -> str | None:
    """Return the name of a key's owner, ``None`` if it is no key.

    The secret is asked first, so that its key still opens the deep health check while the database is down. If one of
    the two places cannot be read, the other's keys work, and of all others nobody can say that they are wrong.

    Raises
    ------
    DatabaseUnavailableError, SecretError, SettingError
        Whether it is a key cannot be told.
    """
    fault: SecretError | None = None
    try:
        found = keys().owner(presented)
    except SecretError as error:
        found, fault = None, error
    found = found or StoredKeys(services.database()).owner(presented)
    if found is None and fault is not None:
        raise fault
    return found
