"""SNS as moto does not have it: a subscription that somebody has to confirm stays pending."""

from __future__ import annotations

from typing import Any

from moto.sns.models import SNSBackend

from local.patching import Patches

CONFIRMED_BY_HAND = ("email", "email-json", "http", "https")
"""Protocols whose receiver has to confirm, which nobody does here: nothing is sent to it."""


def install() -> Patches:
    """Let subscriptions wait for their confirmation, until undone."""
    patches = Patches()
    subscribe = SNSBackend.subscribe

    def pending(backend: SNSBackend, topic_arn: str, endpoint: str, protocol: str) -> Any:
        subscription = subscribe(backend, topic_arn, endpoint, protocol)
        if protocol in CONFIRMED_BY_HAND:
            subscription.attributes |= {"PendingConfirmation": "true", "ConfirmationWasAuthenticated": "false"}
        return subscription

    patches.set(SNSBackend, "subscribe", pending)
    return patches
