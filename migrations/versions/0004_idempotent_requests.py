"""Answers of the last day, by the ``Idempotency-Key`` of their requests; pictures by their keys."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make a table of which older code knows nothing."""
    op.create_table(
        "idempotent_requests",
        sa.Column("scope", sa.String(64), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("status", sa.SmallInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_idempotent_requests_answered_at", "idempotent_requests", ["answered_at"])
    # An import asks in which books a picture is.
    op.create_index("ix_book_images_s3_key", "book_images", ["s3_key"])
