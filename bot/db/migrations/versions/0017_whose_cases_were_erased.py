"""Whose cases were erased, so that nothing of them is told late"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "case_event_erased",
        "case_event",
        [sa.text("(payload #> '{data,refs}')")],
        postgresql_using="gin",
        postgresql_where=sa.text("type = 'person.erased'"),
    )


def downgrade() -> None:
    op.drop_index("case_event_erased", "case_event")
