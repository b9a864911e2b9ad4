"""Interviews: offices, slots, appointments, reminders"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "closed_day",
        sa.Column("of", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("of", "day"),
    )
    op.create_table(
        "office",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("names", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("by_request", sa.Boolean(), nullable=False),
        sa.Column("capacity", sa.SmallInteger(), nullable=False),
        sa.Column("minutes", sa.SmallInteger(), nullable=False),
        sa.Column("hours", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "counsellor",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("office_id", sa.Text(), nullable=False),
        sa.Column("languages", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("gender", sa.Text(), nullable=True),
        sa.Column("modes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["office_id"], ["office.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_counsellor_office_id"), "counsellor", ["office_id"], unique=False)
    op.create_table(
        "slot",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("office_id", sa.Text(), nullable=False),
        sa.Column("counsellor_id", sa.Text(), nullable=False),
        sa.Column("wall", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("minutes", sa.SmallInteger(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        sa.ForeignKeyConstraint(["counsellor_id"], ["counsellor.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["office_id"], ["office.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("counsellor_id", "wall"),
    )
    op.create_index(
        "slot_open", "slot", ["office_id", "starts_at"], unique=False, postgresql_where=sa.text("status = 'open'")
    )
    op.create_table(
        "appointment",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("conversation_id", sa.BigInteger(), nullable=False),
        sa.Column("office_id", sa.Text(), nullable=True),
        sa.Column("slot_id", sa.BigInteger(), nullable=True),
        sa.Column("replaces_id", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Text(), server_default=sa.text("'draft'"), nullable=False),
        sa.Column("asked", sa.Text(), nullable=True),
        sa.Column("answers_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("wall", sa.Text(), nullable=True),
        sa.Column("zone", sa.Text(), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversation.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["office_id"], ["office.id"], ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["replaces_id"], ["appointment.id"], ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["slot_id"], ["slot.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("reference"),
    )
    op.create_index(
        "appointment_draft",
        "appointment",
        ["person_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('draft', 'held')"),
    )
    op.create_index(
        "appointment_open",
        "appointment",
        ["person_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('requested', 'proposed', 'confirmed', 'reminded')"),
    )
    op.create_index("appointment_person", "appointment", ["person_id", "id"], unique=False)
    op.create_index(
        "appointment_slot",
        "appointment",
        ["slot_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('held', 'confirmed', 'reminded')"),
    )
    op.create_index(op.f("ix_appointment_conversation_id"), "appointment", ["conversation_id"], unique=False)
    op.create_table(
        "reminder",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("appointment_id", sa.BigInteger(), nullable=False),
        sa.Column("hours", sa.SmallInteger(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["appointment_id"], ["appointment.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("appointment_id", "hours"),
    )
    op.create_index("reminder_due", "reminder", ["due_at"], unique=False, postgresql_where=sa.text("done_at IS NULL"))


def downgrade() -> None:
    op.drop_index("reminder_due", table_name="reminder", postgresql_where=sa.text("done_at IS NULL"))
    op.drop_table("reminder")
    op.drop_index(op.f("ix_appointment_conversation_id"), table_name="appointment")
    op.drop_index(
        "appointment_slot",
        table_name="appointment",
        postgresql_where=sa.text("status IN ('held', 'confirmed', 'reminded')"),
    )
    op.drop_index("appointment_person", table_name="appointment")
    op.drop_index(
        "appointment_open",
        table_name="appointment",
        postgresql_where=sa.text("status IN ('requested', 'proposed', 'confirmed', 'reminded')"),
    )
    op.drop_index(
        "appointment_draft", table_name="appointment", postgresql_where=sa.text("status IN ('draft', 'held')")
    )
    op.drop_table("appointment")
    op.drop_index("slot_open", table_name="slot", postgresql_where=sa.text("status = 'open'"))
    op.drop_table("slot")
    op.drop_index(op.f("ix_counsellor_office_id"), table_name="counsellor")
    op.drop_table("counsellor")
    op.drop_table("office")
    op.drop_table("closed_day")
