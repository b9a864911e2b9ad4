"""Check-ins: enrolments and rounds"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "enrolment",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("conversation_id", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'draft'"), nullable=False),
        sa.Column("returned_on", sa.Date(), nullable=True),
        sa.Column("zone", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversation.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("reference"),
    )
    op.create_index(
        "enrolment_open",
        "enrolment",
        ["person_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('draft', 'invited', 'active')"),
    )
    op.create_index("enrolment_person", "enrolment", ["person_id"], unique=False)
    op.create_index(op.f("ix_enrolment_conversation_id"), "enrolment", ["conversation_id"], unique=False)
    op.create_table(
        "checkin",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("enrolment_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("round", sa.Text(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'planned'"), nullable=False),
        sa.Column("asked", sa.Text(), nullable=True),
        sa.Column("answers_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("level", sa.Text(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reminded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["enrolment_id"], ["enrolment.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("enrolment_id", "round"),
    )
    op.create_index(
        "checkin_due", "checkin", ["next_at"], unique=False, postgresql_where=sa.text("next_at IS NOT NULL")
    )
    op.create_index("checkin_open", "checkin", ["person_id"], unique=True, postgresql_where=sa.text("status = 'open'"))
    op.create_index("checkin_person", "checkin", ["person_id"], unique=False)


def downgrade() -> None:
    op.drop_index("checkin_person", table_name="checkin")
    op.drop_index("checkin_open", table_name="checkin", postgresql_where=sa.text("status = 'open'"))
    op.drop_index("checkin_due", table_name="checkin", postgresql_where=sa.text("next_at IS NOT NULL"))
    op.drop_table("checkin")
    op.drop_index(op.f("ix_enrolment_conversation_id"), table_name="enrolment")
    op.drop_index("enrolment_person", table_name="enrolment")
    op.drop_index(
        "enrolment_open", table_name="enrolment", postgresql_where=sa.text("status IN ('draft', 'invited', 'active')")
    )
    op.drop_table("enrolment")
