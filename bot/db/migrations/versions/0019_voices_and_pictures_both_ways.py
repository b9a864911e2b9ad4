"""Voices and pictures go with messages, to the team's own chats and from there"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("media", sa.Column("channel", sa.Text(), nullable=True))
    op.add_column("outbox", sa.Column("media_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key("outbox_media_id_fkey", "outbox", "media", ["media_id"], ["id"], ondelete="SET NULL")
    op.create_index("outbox_with_media", "outbox", ["media_id"], postgresql_where=sa.text("media_id IS NOT NULL"))


def downgrade() -> None:
    op.drop_index("outbox_with_media", "outbox")
    op.drop_constraint("outbox_media_id_fkey", "outbox", type_="foreignkey")
    op.drop_column("outbox", "media_id")
    op.drop_column("media", "channel")
