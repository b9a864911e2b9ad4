"""Whom of the team an OpenID Connect provider knows, what was set aside, numbers that the team chose"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("staff_member", sa.Column("oidc_subject", sa.LargeBinary(), nullable=True))
    op.create_unique_constraint(op.f("staff_member_oidc_subject_key"), "staff_member", ["oidc_subject"])
    op.create_index("inbox_dead", "inbox", ["id"], postgresql_where=sa.text("status = 'dead'"))
    op.create_table(
        "team_setting",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def downgrade() -> None:
    op.drop_table("team_setting")
    op.drop_index("inbox_dead", "inbox")
    op.drop_constraint(op.f("staff_member_oidc_subject_key"), "staff_member", type_="unique")
    op.drop_column("staff_member", "oidc_subject")
