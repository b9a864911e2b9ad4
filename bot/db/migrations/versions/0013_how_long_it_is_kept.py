"""How long things are kept, several master keys, a safe word, who somebody is after a long silence"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("inbox", sa.Column("trimmed", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index(
        "inbox_kept",
        "inbox",
        ["trimmed", "done_at"],
        postgresql_where=sa.text("content_sealed IS NOT NULL AND done_at IS NOT NULL"),
    )
    op.create_table(
        "checkin_value",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("series", sa.Uuid(), nullable=False),
        sa.Column("round", sa.Text(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("checkin_value_month", "checkin_value", ["month"])
    op.create_table(
        "lookup_key",
        sa.Column("master", sa.LargeBinary(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("master"),
    )
    op.add_column("person", sa.Column("safe_word", sa.LargeBinary(), nullable=True))
    op.add_column("address", sa.Column("unsure_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("address", sa.Column("tries", sa.SmallInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("conversation", sa.Column("hidden_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("conversation", sa.Column("aside_rasa_id", sa.Text(), nullable=True))
    op.add_column("conversation", sa.Column("aside_form", sa.Text(), nullable=True))


def downgrade() -> None:
    for table, column in (
        ("conversation", "aside_form"),
        ("conversation", "aside_rasa_id"),
        ("conversation", "hidden_at"),
        ("address", "tries"),
        ("address", "unsure_at"),
        ("person", "safe_word"),
    ):
        op.drop_column(table, column)
    op.drop_table("lookup_key")
    op.drop_table("checkin_value")
    op.drop_index("inbox_kept", "inbox")
    op.drop_column("inbox", "trimmed")
