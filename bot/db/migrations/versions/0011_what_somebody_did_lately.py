"""An index of the audit: what somebody did lately is counted at every search and page of a reference"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("audit_lately", "audit", ["staff_id", "action", "at"])


def downgrade() -> None:
    op.drop_index("audit_lately", "audit")
