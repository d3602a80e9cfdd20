"""All rules, one module a subject; each is a plain function over plain data."""

from policies.model import Rule
from policies.rules import (
    alarms,
    checklist,
    database,
    functions,
    iam,
    ignored,
    mappings,
    names,
    queues,
    secrets,
    storage,
)

SUBJECTS = {
    "The database": database,
    "What is ignored": ignored,
    "Queues": queues,
    "Mappings": mappings,
    "Functions, logs, API": functions,
    "IAM": iam,
    "Storage, keys, network": storage,
    "Secrets": secrets,
    "Alarms": alarms,
    "Names and tags": names,
    "The checklist": checklist,
}
RULES: tuple[Rule, ...] = tuple(rule for subject in SUBJECTS.values() for rule in subject.RULES)
