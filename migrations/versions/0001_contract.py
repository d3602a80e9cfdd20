"""The tables that BlueMoxon had before this program; an existing database is stamped with this revision."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the contract's tables."""
    op.create_table(
        "books",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("title", sa.String(500), nullable=False),
    )
    op.create_table(
        "book_images",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("book_id", sa.Integer, sa.ForeignKey("books.id", ondelete="CASCADE"), nullable=False),
        sa.Column("s3_key", sa.String(500), nullable=False),
        sa.Column("cloudfront_url", sa.String(500)),
        sa.Column("original_filename", sa.String(255)),
        sa.Column("content_hash", sa.String(64)),
        sa.Column("image_type", sa.String(50)),
        sa.Column("display_order", sa.Integer),
        sa.Column("is_primary", sa.Boolean),
        sa.Column("is_background_processed", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("caption", sa.Text),
    )
    op.create_index("ix_book_images_book_id_content_hash", "book_images", ["book_id", "content_hash"])
    op.create_table(
        "image_processing_jobs",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("book_id", sa.Integer, sa.ForeignKey("books.id", ondelete="CASCADE"), nullable=False),
        sa.Column("source_image_id", sa.Integer, sa.ForeignKey("book_images.id", ondelete="SET NULL")),
        sa.Column("processed_image_id", sa.Integer, sa.ForeignKey("book_images.id", ondelete="SET NULL")),
        sa.Column("status", sa.String(20), nullable=False, server_default="pending"),
        sa.Column("attempt_count", sa.Integer, nullable=False, server_default="0"),
        sa.Column("queue_retry_count", sa.Integer, nullable=False, server_default="0"),
        sa.Column("model_used", sa.String(50)),
        sa.Column("failure_reason", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True)),
        sa.Column("updated_at", sa.DateTime(timezone=True)),
        sa.Column("completed_at", sa.DateTime(timezone=True)),
    )
    op.create_index(
        "uq_image_processing_jobs_active",
        "image_processing_jobs",
        ["book_id", "source_image_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('pending', 'processing')"),
    )
