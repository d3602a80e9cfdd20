"""SQS through the provider."""

from tests.local.providing import Providing, lifecycle

pytest_plugins = ["tests.local.providing"]

QUEUE = "aws:sqs/queue:Queue"


def test_a_queue_comes_back_from_the_cloud_as_it_was_asked_for(providing: Providing):
    made = lifecycle(providing, QUEUE, {"name": "a", "visibilityTimeoutSeconds": 1800, "sqsManagedSseEnabled": True})
    assert made.outputs["arn"] == "arn:aws:sqs:us-west-2:123456789012:a"
    assert made.outputs["url"] == made.id
    assert made.outputs["messageRetentionSeconds"] == 345_600
