"""Other names of an address, albums, and whom we wrote to first"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "address_alias",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("address_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["address_id"], ["address.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("channel", "digest"),
    )
    op.create_index("ix_address_alias_address_id", "address_alias", ["address_id"])
    op.add_column("address", sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "address_opened", "address", ["channel", "opened_at"], postgresql_where=sa.text("opened_at IS NOT NULL")
    )
    op.add_column("media", sa.Column("album", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("media", "album")
    op.drop_index("address_opened", "address")
    op.drop_column("address", "opened_at")
    op.drop_table("address_alias")
