"""An environment that the documents of `docs/iam` are filled in for."""

ACCOUNT = "123456789012"
VALUES = {
    "ACCOUNT": ACCOUNT,
    "REGION": "us-west-2",
    "PREFIX": "shop-staging",
    "STATE_BUCKET": "shop-state",
    "STATE_KEY": "0000-1111",
    "REPOSITORY": "owner/name",
}
