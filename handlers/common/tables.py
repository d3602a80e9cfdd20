"""The tables, as SQLAlchemy Core sees them after the newest revision; a test holds them against the migrations."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

ACTIVE_STATES = ("pending", "processing")
"""States of which a photograph has one job at most."""

metadata = sa.MetaData()

job_numbers = sa.Sequence("image_job_numbers", metadata=metadata, data_type=sa.BigInteger)
"""Orders acceptances, choices and messages; a clock would not, because two functions have two."""

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
    # S3's version of the object that was checked: NULL where nobody did, "null" in a bucket that keeps no versions.
    sa.Column("s3_version", sa.String(1024)),
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
    sa.Column("requested_image_id", sa.Integer, sa.ForeignKey("book_images.id", ondelete="SET NULL")),
    sa.Column("accepted_number", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("message_number", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("redrives", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("send_after", sa.DateTime(timezone=True)),
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
sa.Index("ix_image_processing_jobs_requested_image_id", image_processing_jobs.c.requested_image_id)
sa.Index(
    "ix_image_processing_jobs_unfinished",
    image_processing_jobs.c.status,
    image_processing_jobs.c.created_at,
    postgresql_where=sa.text("status NOT IN ('completed', 'failed')"),
)

book_choices = sa.Table(
    "book_choices",
    metadata,
    sa.Column("book_id", sa.Integer, sa.ForeignKey("books.id", ondelete="CASCADE"), primary_key=True),
    # The number of the last time that somebody chose the book's primary or its order.
    sa.Column("number", sa.BigInteger, nullable=False),
)

IMAGE_JOBS_SWEEP = "image_jobs"
"""The row of `sweeps` in which the sweeper of image jobs says when it ran, and where the health check looks."""

sweeps = sa.Table(
    "sweeps",
    metadata,
    sa.Column("name", sa.String(50), primary_key=True),
    sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("left_undone", sa.Integer, nullable=False),
)

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

api_keys = sa.Table(
    "api_keys",
    metadata,
    # SHA-256 in hex. Names are for people and may stand twice: while a caller changes its key it has two.
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(63), nullable=False),
    sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("revoked_at", sa.DateTime(timezone=True)),
    sa.Column("last_used_on", sa.Date),
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
