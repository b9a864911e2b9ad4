"""Who takes over conversations, and how a handoff stands"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "staff_member",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("offices", JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("languages", JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("priorities", JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("duty", sa.Text(), nullable=True),
        sa.Column("conversation_id", sa.BigInteger(), nullable=True),
        sa.Column("link_digest", sa.LargeBinary(), nullable=True),
        sa.Column("link_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversation.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("email"),
        sa.UniqueConstraint("conversation_id"),
    )
    op.add_column("conversation", sa.Column("owner_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        "conversation_owner", "conversation", "staff_member", ["owner_id"], ["id"], ondelete="SET NULL"
    )
    now = sa.text("now()")
    for column in (
        sa.Column("language", sa.Text(), server_default=sa.text("'fr'"), nullable=False),
        sa.Column("place", sa.Text(), nullable=True),
        sa.Column("owner_id", sa.Uuid(), sa.ForeignKey("staff_member.id", ondelete="SET NULL"), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("look_at", sa.DateTime(timezone=True), server_default=now, nullable=True),
        sa.Column("unanswered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rounds", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("step", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
    ):
        op.add_column("handoff", column)
    op.execute("UPDATE handoff SET due_at = handoff.created_at, language = coalesce(person.language, 'fr') "
               "FROM person WHERE person.id = handoff.person_id")  # fmt: skip
    op.create_index("handoff_open", "handoff", ["conversation_id"], postgresql_where=sa.text("status <> 'released'"))
    op.create_index("handoff_due", "handoff", ["look_at"], postgresql_where=sa.text("look_at IS NOT NULL"))
    op.create_table(
        "handoff_entry",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("handoff_id", sa.BigInteger(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("staff_id", sa.Uuid(), nullable=True),
        sa.Column("to_id", sa.Uuid(), nullable=True),
        sa.Column("outbox_id", sa.BigInteger(), nullable=True),
        sa.Column("note_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("told", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.ForeignKeyConstraint(["handoff_id"], ["handoff.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["staff_id"], ["staff_member.id"], ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["to_id"], ["staff_member.id"], ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["outbox_id"], ["outbox.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_handoff_entry_handoff_id", "handoff_entry", ["handoff_id"])
    op.create_index(
        "handoff_entry_answers",
        "handoff_entry",
        ["handoff_id"],
        postgresql_where=sa.text("what = 'replied' AND (told IS NULL OR told = 'held')"),
    )
    op.create_index("ix_handoff_entry_outbox_id", "handoff_entry", ["outbox_id"])
    op.create_table(
        "handoff_notice",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("handoff_id", sa.BigInteger(), nullable=False),
        sa.Column("staff_id", sa.Uuid(), nullable=False),
        sa.Column("round", sa.SmallInteger(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("outbox_id", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Text(), server_default=sa.text("'queued'"), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.ForeignKeyConstraint(["handoff_id"], ["handoff.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["staff_id"], ["staff_member.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["outbox_id"], ["outbox.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("handoff_id", "staff_id", "round", "way"),
    )
    op.create_index(
        "handoff_notice_open", "handoff_notice", ["id"], postgresql_where=sa.text("status IN ('queued', 'sending')")
    )


def downgrade() -> None:
    op.drop_table("handoff_notice")
    op.drop_table("handoff_entry")
    for name in ("handoff_open", "handoff_due"):
        op.drop_index(name, "handoff")
    for name in ("language", "place", "owner_id", "due_at", "look_at", "unanswered_at", "told_at", "rounds",
                 "step", "taken_at", "released_at"):  # fmt: skip
        op.drop_column("handoff", name)
    op.drop_constraint("conversation_owner", "conversation")
    op.drop_column("conversation", "owner_id")
    op.drop_table("staff_member")
