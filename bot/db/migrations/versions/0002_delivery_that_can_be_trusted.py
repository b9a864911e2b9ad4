"""Delivery that can be trusted"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "channel_pace",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("paced_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("unasked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("down", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("channel"),
    )
    op.create_table(
        "sent_count",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("messages", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("day", "channel", "kind"),
    )
    op.create_table(
        "media",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("conversation_id", sa.BigInteger(), nullable=False),
        sa.Column("inbox_id", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("details_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("content_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("mime", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.LargeBinary(), nullable=True),
        sa.Column("status", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("attempts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversation.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["inbox_id"], ["inbox.id"], ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("inbox_id"),
    )
    op.create_index(op.f("ix_media_person_id"), "media", ["person_id"], unique=False)
    op.create_index("media_pending", "media", ["id"], unique=False, postgresql_where=sa.text("status = 'pending'"))
    op.add_column("address", sa.Column("window_closed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("address", sa.Column("identity_changed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("address", sa.Column("paced_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("address", sa.Column("not_before", sa.DateTime(timezone=True), nullable=True))
    op.add_column("address", sa.Column("throttled", sa.SmallInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("conversation", sa.Column("slowed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("conversation", sa.Column("exchanges", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.create_index("inbox_conversation", "inbox", ["conversation_id", "id"], unique=False)
    op.add_column("issued_button", sa.Column("used_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("outbox", sa.Column("unasked", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("outbox", sa.Column("sensitive", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("outbox", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("outbox", sa.Column("parts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("outbox", sa.Column("template", sa.SmallInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("outbox", sa.Column("refused_id", sa.Text(), nullable=True))
    op.create_index(
        "outbox_external", "outbox", ["external_id"], unique=False, postgresql_where=sa.text("external_id IS NOT NULL")
    )
    op.create_index(
        "outbox_held", "outbox", ["conversation_id"], unique=False, postgresql_where=sa.text("status = 'held'")
    )


def downgrade() -> None:
    op.drop_index("outbox_held", table_name="outbox", postgresql_where=sa.text("status = 'held'"))
    op.drop_index("outbox_external", table_name="outbox", postgresql_where=sa.text("external_id IS NOT NULL"))
    op.drop_column("outbox", "refused_id")
    op.drop_column("outbox", "template")
    op.drop_column("outbox", "parts")
    op.drop_column("outbox", "expires_at")
    op.drop_column("outbox", "sensitive")
    op.drop_column("outbox", "unasked")
    op.drop_column("issued_button", "used_at")
    op.drop_index("inbox_conversation", table_name="inbox")
    op.drop_column("conversation", "exchanges")
    op.drop_column("conversation", "slowed_at")
    op.drop_column("address", "throttled")
    op.drop_column("address", "not_before")
    op.drop_column("address", "paced_at")
    op.drop_column("address", "identity_changed_at")
    op.drop_column("address", "window_closed_at")
    op.drop_index("media_pending", table_name="media", postgresql_where=sa.text("status = 'pending'"))
    op.drop_index(op.f("ix_media_person_id"), table_name="media")
    op.drop_table("media")
    op.drop_table("sent_count")
    op.drop_table("channel_pace")
