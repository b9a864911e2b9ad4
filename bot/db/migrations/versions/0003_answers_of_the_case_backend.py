"""Answers of the case backend"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "case_answer",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.add_column("outbox", sa.Column("announces", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("request", sa.Column("interview_sealed", sa.LargeBinary(), nullable=True))
    op.create_index("case_event_ref", "case_event", [sa.text("(payload #>> '{data,ref}')")])


def downgrade() -> None:
    op.drop_index("case_event_ref", table_name="case_event")
    op.drop_column("request", "interview_sealed")
    op.drop_column("outbox", "announces")
    op.drop_table("case_answer")
