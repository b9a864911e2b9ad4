"""What the team changes of the check-ins, when each was planned for; proposals for a request that nobody answered"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("team_setting", sa.Column("data", JSONB(), nullable=True))
    op.add_column("checkin", sa.Column("weeks", sa.Integer(), nullable=True))
    op.add_column("checkin", sa.Column("months", sa.Integer(), nullable=True))
    op.add_column("enrolment", sa.Column("months", sa.Integer(), nullable=True))
    op.add_column("enrolment", sa.Column("planned", sa.Integer(), server_default=sa.text("0"), nullable=False))
    # until now a check-in's name was when it comes: week2, month12
    op.execute(
        "UPDATE checkin SET weeks = coalesce(substring(round FROM '^week([0-9]+)$')::int, 0), "
        "months = coalesce(substring(round FROM '^month([0-9]+)$')::int, 0) WHERE round <> 'enrolment'"
    )
    op.execute(
        "UPDATE enrolment SET months = last.months FROM "
        "(SELECT enrolment_id, greatest(max(months), 1) AS months FROM checkin WHERE round <> 'enrolment' GROUP BY 1) "
        "AS last WHERE last.enrolment_id = enrolment.id AND status IN ('active', 'ended')"
    )
    op.create_index(
        "enrolment_planned", "enrolment", ["planned"], postgresql_where=sa.text("status IN ('active', 'ended')")
    )
    op.add_column("request", sa.Column("unanswered_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "request_unanswered", "request", ["unanswered_at"], postgresql_where=sa.text("unanswered_at IS NOT NULL")
    )


def downgrade() -> None:
    op.drop_index("request_unanswered", "request")
    op.drop_column("request", "unanswered_at")
    op.drop_index("enrolment_planned", "enrolment")
    op.drop_column("enrolment", "planned")
    op.drop_column("enrolment", "months")
    op.drop_column("checkin", "months")
    op.drop_column("checkin", "weeks")
    op.execute("DELETE FROM team_setting WHERE data IS NOT NULL OR name LIKE 'checkin_%'")
    op.drop_column("team_setting", "data")
