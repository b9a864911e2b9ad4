"""Who signs in to the console, and what they did there"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def _moment(name: str, **given: object) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), **given)  # type: ignore[arg-type]


def upgrade() -> None:
    op.create_table(
        "staff_login",
        sa.Column("staff_id", sa.Uuid(), nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("totp_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("totp_step", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["staff_id"], ["staff_member.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("staff_id"),
    )
    op.create_table(
        "staff_session",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("staff_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        _moment("created_at", server_default=sa.text("now()"), nullable=False),
        _moment("seen_at", server_default=sa.text("now()"), nullable=False),
        _moment("verified_at", server_default=sa.text("now()"), nullable=False),
        _moment("ended_at", nullable=True),
        sa.ForeignKeyConstraint(["staff_id"], ["staff_member.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    op.create_index("ix_staff_session_staff_id", "staff_session", ["staff_id"])
    op.create_table(
        "login_attempt",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("email", sa.LargeBinary(), nullable=False),
        sa.Column("place", sa.LargeBinary(), nullable=False),
        _moment("at", server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("login_attempt_email", "login_attempt", ["email", "at"])
    op.create_index("login_attempt_place", "login_attempt", ["place", "at"])
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        _moment("at", nullable=False),
        sa.Column("staff_id", sa.Uuid(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("detail", JSONB(), nullable=False),
        sa.Column("link", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.execute(
        """
        CREATE FUNCTION audit_is_added_to_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'the audit is added to only'; END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER audit_added_to_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
        FOR EACH STATEMENT EXECUTE FUNCTION audit_is_added_to_only()
        """
    )
    op.add_column("request", sa.Column("phone_digest", sa.LargeBinary(), nullable=True))
    op.add_column("suggestion", sa.Column("right_label", sa.Text(), nullable=True))
    op.create_index("ix_request_phone_digest", "request", ["phone_digest"])


def downgrade() -> None:
    op.drop_column("suggestion", "right_label")
    op.drop_index("ix_request_phone_digest", table_name="request")
    op.drop_column("request", "phone_digest")
    op.drop_table("audit")
    op.execute("DROP FUNCTION audit_is_added_to_only()")
    for table in ("login_attempt", "staff_session", "staff_login"):
        op.drop_table(table)
