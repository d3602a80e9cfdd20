"""Leases, send times and results of image jobs; uploads that are allowed and not completed yet."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns that older code does not know and need not write, and one table."""
    for column in (
        sa.Column("lease_id", sa.Uuid),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True)),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.Column("result", JSONB),
    ):
        op.add_column("image_processing_jobs", column)
    # Without them deleting a picture reads every job (ON DELETE SET NULL), and so does showing a picture's last job.
    for name in ("source_image_id", "processed_image_id"):
        op.create_index(f"ix_image_processing_jobs_{name}", "image_processing_jobs", [name])
    op.create_table(
        "image_uploads",
        # Its value comes from book_images' own sequence, so a reserved id is never another picture's.
        sa.Column("image_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("book_id", sa.Integer, sa.ForeignKey("books.id", ondelete="CASCADE"), nullable=False),
        sa.Column("s3_key", sa.String(500), nullable=False),
        sa.Column("content_type", sa.String(50), nullable=False),
        sa.Column("original_filename", sa.String(255)),
        sa.Column("image_type", sa.String(50)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_image_uploads_book_id", "image_uploads", ["book_id"])
