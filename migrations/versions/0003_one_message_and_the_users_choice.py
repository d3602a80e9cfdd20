"""One message of a job at a time, the user's last choice, the bytes that were checked, and the sweeper's own record."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns with defaults that older code need not write, one sequence and two tables."""
    # Numbers of acceptances, choices and messages. A sequence, because clocks of two functions differ.
    op.execute(sa.schema.CreateSequence(sa.Sequence("image_job_numbers", data_type=sa.BigInteger)))
    for column in (
        sa.Column("requested_image_id", sa.Integer, sa.ForeignKey("book_images.id", ondelete="SET NULL")),
        sa.Column("accepted_number", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("message_number", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("redrives", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("send_after", sa.DateTime(timezone=True)),
    ):
        op.add_column("image_processing_jobs", column)
    op.create_index("ix_image_processing_jobs_requested_image_id", "image_processing_jobs", ["requested_image_id"])
    # The sweeper and the health check ask for these alone; finished jobs are nearly all of the table.
    op.create_index(
        "ix_image_processing_jobs_unfinished",
        "image_processing_jobs",
        ["status", "created_at"],
        postgresql_where=sa.text("status NOT IN ('completed', 'failed')"),
    )
    op.add_column("book_images", sa.Column("s3_version", sa.String(1024)))
    op.create_table(
        "book_choices",
        sa.Column("book_id", sa.Integer, sa.ForeignKey("books.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "sweeps",
        sa.Column("name", sa.String(50), primary_key=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("left_undone", sa.Integer, nullable=False),
    )
