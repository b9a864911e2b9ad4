"""What is told of an appointment is found by what it replaces; drafts of check-ins end"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "case_event_replaces",
        "case_event",
        [sa.text("(payload #>> '{data,replaces}')")],
        postgresql_where=sa.text("payload #>> '{data,replaces}' IS NOT NULL"),
    )
    op.execute(
        "UPDATE checkin SET next_at = updated_at + interval '7 days'"
        " WHERE round = 'enrolment' AND status = 'open' AND next_at IS NULL"
    )


def downgrade() -> None:
    op.drop_index("case_event_replaces", "case_event")
