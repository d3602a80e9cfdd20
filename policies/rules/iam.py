"""IAM: every grant on something named, roles only for services, producers at their own queues only."""

from collections.abc import Iterator

from components.unscoped import LIMITED, UNSCOPED_ACTIONS
from policies.documents import readable, statements
from policies.model import UNKNOWN, Finding, Resource, Stack, rule
from policies.rules.checklist import flows_of
from policies.rules.queues import dead_letters_of
from policies.tokens import ATTACHMENT, FUNCTION, POLICY, QUEUE, ROLE, ROLE_POLICY

_GRANTS = (POLICY, ROLE_POLICY)
_SEND = "sqs:sendmessage"
# By these a program could give itself, or what it runs, any other grant.
_ESCALATIONS = (
    "iam:passrole",
    "iam:attachrolepolicy",
    "iam:putrolepolicy",
    "iam:createpolicyversion",
    "sts:assumerole",
)


@rule(
    "iam-no-wildcard-action",
    *_GRANTS,
    asks="A policy names each action.",
    why="A wildcard also allows what AWS adds tomorrow.",
    fix="Name each action; components/needs.py has what a function may need.",
    fsbp=("IAM.1", "IAM.21"),
    checkov=("CKV_AWS_62", "CKV_AWS_63", "CKV2_AWS_40"),
)
def no_wildcard_action(resource: Resource) -> Iterator[Finding]:
    """Report a wildcard in an allowed action, and a document that cannot be read; an unknown one is read later."""
    if not readable(resource.get("policy")):
        yield Finding(resource, "policy", "is no policy document")
    for statement in statements(resource.get("policy")):
        wild = [action for action in statement.actions if "*" in action or "?" in action]
        if statement.allows and wild:
            yield Finding(resource, "policy", f"allows {', '.join(wild)}")


@rule(
    "iam-no-wildcard-resource",
    *_GRANTS,
    asks="A policy names each resource, but for the fixed list of actions that AWS does not scope.",
    why="A grant on everything reaches the other environment's things, and the next program's.",
    fix="Name the resource; an action that AWS does not scope goes into components/unscoped.py with its reason.",
    checkov=("CKV_AWS_290", "CKV_AWS_355"),
)
def no_wildcard_resource(resource: Resource) -> Iterator[Finding]:
    """Report actions that are not in the list, on more than one thing, one log group or one folder of a bucket."""
    for statement in statements(resource.get("policy")):
        unlisted = sorted(set(statement.actions).difference(UNSCOPED_ACTIONS))
        if statement.allows and unlisted and any(not LIMITED.fullmatch(each) for each in statement.resources):
            yield Finding(resource, "policy", f"allows {', '.join(unlisted)} on a wildcard")


@rule(
    "iam-no-escalation",
    *_GRANTS,
    asks="No function may pass a role or change what roles may do.",
    why="Whoever may pass a role to a function has that role's grants.",
    fix="Remove the action; roles are made by the deployment alone.",
    checkov=("CKV_AWS_286",),
)
def no_escalation(resource: Resource) -> Iterator[Finding]:
    """Report each such action that is allowed."""
    for statement in statements(resource.get("policy")):
        found = [action for action in statement.actions if action.lower() in _ESCALATIONS]
        if statement.allows and found:
            yield Finding(resource, "policy", f"allows {', '.join(found)}")


@rule(
    "iam-role-for-services",
    ROLE,
    asks="A role is assumed by AWS services that it names.",
    why="A role that an account or everybody may assume is a way in.",
    fix='Trust {"Service": "lambda.amazonaws.com"}, and put grants into policies of their own.',
    checkov=("CKV_AWS_60", "CKV_AWS_61"),
)
def role_for_services(resource: Resource) -> Iterator[Finding]:
    """Report other principals, and policies inside the role, which no other rule sees."""
    for statement in statements(resource.get("assumeRolePolicy")):
        if statement.allows and (set(statement.principals) != set(statement.services) or not statement.services):
            yield Finding(resource, "assumeRolePolicy", "trusts more than services")
    for name in ("inlinePolicies", "managedPolicyArns"):
        if resource.get(name) not in (None, [], UNKNOWN) and any(each != {} for each in resource.get(name)):
            yield Finding(resource, name, "grants inside the role")


@rule(
    "iam-own-policies",
    ATTACHMENT,
    asks="A role has this program's policies and none of AWS's.",
    why="AWS's managed policies are wide, and change without us.",
    fix="Write the statements that are needed, by components/needs.py.",
    checkov=("CKV_AWS_274",),
)
def own_policies(resource: Resource) -> Iterator[Finding]:
    """Report a policy of AWS's."""
    arn = resource.get("policyArn")
    if isinstance(arn, str) and ":iam::aws:policy/" in arn:
        yield Finding(resource, "policyArn", "is a policy of AWS's")


def _policies_of(stack: Stack, function: Resource) -> Iterator[Resource]:
    """Yield the policies of a function's role."""
    for role in stack.pointed_at(function, "role", [ROLE]):
        for attachment in stack.pointing_at(role, "role", ATTACHMENT):
            yield from stack.pointed_at(attachment, "policyArn", [POLICY])
        yield from stack.pointing_at(role, "role", ROLE_POLICY)


def _granted(stack: Stack, function: Resource, action: str) -> set[str]:
    """Return what a function may do an action on, ARNs."""
    return {
        resource
        for policy in _policies_of(stack, function)
        for statement in statements(policy.get("policy"))
        if statement.allows and action in {each.lower() for each in statement.actions}
        for resource in statement.resources
    }


@rule(
    "iam-producers-own-queues",
    asks="A function sends only to queues whose flows name it as their producer.",
    why="A sender that no declaration names is found by nobody who looks for where a message came from.",
    fix="Add the function to the flow's producers in flows.py, or take the grant from it.",
)
def producers_own_queues(stack: Stack) -> Iterator[Finding]:
    """Report a grant to send that neither the flow's producers nor redriving its dead letters explain.

    The registry among the stack's outputs says who produces. An operator's function that redrives has to send too: it
    is known by its grant to take messages from that queue's dead letters.
    """
    producers = {flow.get("queue_name"): flow.get("producers", ()) for flow in flows_of(stack)}
    for function in stack.of(FUNCTION):
        sends, takes = (_granted(stack, function, action) for action in (_SEND, "sqs:receivemessage"))
        for queue in stack.of(QUEUE):
            arn, name = queue.get("arn"), queue.get("name")
            letters = dead_letters_of(stack, queue)
            redrives = letters is not None and letters.get("arn") in takes
            if arn in sends and function.name not in producers.get(name, ()) and not redrives:
                yield Finding(function, "role", f"may send to {name!r}, whose flow does not name it")


RULES = (
    no_wildcard_action,
    no_wildcard_resource,
    no_escalation,
    role_for_services,
    own_policies,
    producers_own_queues,
)
