"""The tables, as SQLAlchemy Core sees them after the newest revision; a test holds them against the migrations."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

ACTIVE_STATES = ("pending", "processing")

metadata = sa.MetaData()

books = sa.Table(
    "books",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("title", sa.String(500), nullable=False),
)

book_images = sa.Table(
    "book_images",
    metadata,
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
    sa.Index("ix_book_images_book_id_content_hash", "book_id", "content_hash"),
    sa.Index("ix_book_images_s3_key", "s3_key"),
)

image_processing_jobs = sa.Table(
    "image_processing_jobs",
    metadata,
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
    sa.Column("lease_id", sa.Uuid),
    sa.Column("lease_expires_at", sa.DateTime(timezone=True)),
    sa.Column("sent_at", sa.DateTime(timezone=True)),
    sa.Column("result", JSONB),
)

active_job_index = sa.Index(
    "uq_image_processing_jobs_active",
    image_processing_jobs.c.book_id,
    image_processing_jobs.c.source_image_id,
    unique=True,
    postgresql_where=sa.text("status IN ('pending', 'processing')"),
)
sa.Index("ix_image_processing_jobs_source_image_id", image_processing_jobs.c.source_image_id)
sa.Index("ix_image_processing_jobs_processed_image_id", image_processing_jobs.c.processed_image_id)

image_uploads = sa.Table(
    "image_uploads",
    metadata,
    # Taken from book_images' own sequence when the upload is allowed, so a reserved id is never another picture's.
    sa.Column("image_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("book_id", sa.Integer, sa.ForeignKey("books.id", ondelete="CASCADE"), nullable=False),
    sa.Column("s3_key", sa.String(500), nullable=False),
    sa.Column("content_type", sa.String(50), nullable=False),
    sa.Column("original_filename", sa.String(255)),
    sa.Column("image_type", sa.String(50)),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Index("ix_image_uploads_book_id", "book_id"),
)

idempotent_requests = sa.Table(
    "idempotent_requests",
    metadata,
    # SHA-256 in hex of the caller's key's digest, the path and the Idempotency-Key.
    sa.Column("scope", sa.String(64), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("status", sa.SmallInteger, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("answered_at", sa.DateTime(timezone=True), nullable=False),
    sa.Index("ix_idempotent_requests_answered_at", "answered_at"),
)
