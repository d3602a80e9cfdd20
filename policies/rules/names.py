"""Names and tags: everything says which project and which environment it belongs to, in one spelling."""

from collections.abc import Iterator, Mapping

from policies.model import UNKNOWN, Finding, Resource, rule
from policies.tokens import (
    ALARM,
    BUCKET,
    EVENT_RULE,
    FUNCTION,
    HTTP_API,
    INSTANCE,
    KEY,
    LOG_GROUP,
    MAPPING,
    PARAMETER_GROUP,
    POLICY,
    QUEUE,
    ROLE,
    SECRET,
    SECURITY_GROUP,
    SUBNET_GROUP,
    TOPIC,
)

#: Which property is a thing's name on AWS.
NAMED: Mapping[str, str] = {
    **dict.fromkeys(
        (
            ALARM,
            EVENT_RULE,
            FUNCTION,
            HTTP_API,
            LOG_GROUP,
            PARAMETER_GROUP,
            POLICY,
            QUEUE,
            ROLE,
            SECRET,
            SECURITY_GROUP,
            SUBNET_GROUP,
            TOPIC,
        ),
        "name",
    ),
    BUCKET: "bucket",
    INSTANCE: "identifier",
}
#: What takes tags and costs, holds or allows something.
TAGGED = (*NAMED, KEY, MAPPING)
#: Folders in which AWS, or an operator, looks for a name.
_FOLDERS = ("", "/", "/aws/lambda/", "/aws/apigateway/")


def stack_and_project(resource: Resource) -> tuple[str, str]:
    """Return the names of stack and project, which every URN holds: urn:pulumi:STACK::PROJECT::TYPE::NAME."""
    stack, project = resource.urn.removeprefix("urn:pulumi:").split("::")[:2]
    return stack, project


@rule(
    "tags-project-environment",
    *TAGGED,
    asks="Everything that takes tags is tagged with its project and its environment.",
    why="A bill and an alarm at night have to say whose thing it is.",
    fix="Leave tags to components/tags.py, which gives project and environment to everything.",
)
def tags(resource: Resource) -> Iterator[Finding]:
    """Report a tag that is missing or says something else than the stack is called."""
    given = resource.get("tags", default={})
    stack, project = stack_and_project(resource)
    for name, value in (("project", project), ("environment", stack)):
        if given is not UNKNOWN and given.get(name) not in {value, UNKNOWN}:
            yield Finding(resource, f"tags.{name}", f"is not {value!r}")


@rule(
    "name-one-per-environment",
    *NAMED,
    asks="A name on AWS begins with the project and the environment, as the stack is called.",
    why='"prod" here and "production" there caused five outages.',
    fix="Make the name from settings.prefix.",
)
def names(resource: Resource) -> Iterator[Finding]:
    """Report a name that begins with something else, and one that is left to Pulumi to make up."""
    prop = NAMED[resource.type]
    name = resource.get(prop)
    prefix = "-".join(reversed(stack_and_project(resource)))
    if name is not UNKNOWN and not (isinstance(name, str) and _begins(name, prefix)):
        yield Finding(resource, prop, f"does not begin with {prefix!r}")


def _begins(name: str, prefix: str) -> bool:
    return any(
        name == folder + prefix or name.startswith((f"{folder}{prefix}-", f"{folder}{prefix}/")) for folder in _FOLDERS
    )


RULES = (tags, names)
