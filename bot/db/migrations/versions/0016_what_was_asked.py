"""What was asked, for counting, and the times that a month is counted by"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("inbox", sa.Column("topic", sa.Text(), nullable=True))
    op.create_index("inbox_received", "inbox", ["received_at"])
    op.create_index("outbox_created", "outbox", ["created_at"])
    op.create_index("outbox_failed", "outbox", ["id"], postgresql_where=sa.text("status = 'failed'"))
    op.create_index("case_event_dead", "case_event", ["id"], postgresql_where=sa.text("status = 'dead'"))


def downgrade() -> None:
    op.drop_index("case_event_dead", "case_event")
    op.drop_index("outbox_failed", "outbox")
    op.drop_index("outbox_created", "outbox")
    op.drop_index("inbox_received", "inbox")
    op.drop_column("inbox", "topic")
