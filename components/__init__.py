"""Component resources: worker flows and what they stand on. Nothing in here knows which product uses it."""
