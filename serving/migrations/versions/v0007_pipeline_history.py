"""How the streams did in the last day."""

from alembic import op

revision = "0007"
down_revision = "0006"

PIPELINE_HISTORY = """
CREATE TABLE public.pipeline_history (
    minute        timestamptz NOT NULL,
    name          text        NOT NULL,
    reported_at   timestamptz NOT NULL,
    rows_total    bigint      NOT NULL,
    lag_events    bigint,
    lag_seconds   double precision,
    batch_seconds double precision,
    PRIMARY KEY (minute, name)
);
COMMENT ON TABLE public.pipeline_history IS
    'Each stream and Delta table in each minute of the last day: the newest total, the worst of the rest.';
COMMENT ON COLUMN public.pipeline_history.name IS 'A stream of pipeline_status, or a Delta table: layer.table.';
"""


def upgrade() -> None:
    op.get_bind().connection.cursor().execute(PIPELINE_HISTORY)


def downgrade() -> None:
    raise NotImplementedError("what was noted of the last day is noted anew, never taken back")
