"""What was typed in a check-in, sealed, for case backends that are told; when the team said a day of return"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("case_event", sa.Column("words_sealed", sa.LargeBinary(), nullable=True))
    op.add_column("enrolment", sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("enrolment", "recorded_at")
    op.drop_column("case_event", "words_sealed")
