"""The verdicts on the tables, and what was decided about them."""

from alembic import op

revision = "0003"
down_revision = "0002"

QUALITY_RESULTS = """
CREATE TABLE public.quality_results (
    run_id           text             NOT NULL,
    table_name       text             NOT NULL,
    mode             text             NOT NULL,
    first_version    bigint           NOT NULL,
    last_version     bigint           NOT NULL,
    num_rows         bigint           NOT NULL,
    started_at       timestamptz      NOT NULL,
    duration_seconds double precision NOT NULL,
    expectation      text             NOT NULL,
    expectation_type text             NOT NULL,
    column_name      text,
    severity         text             NOT NULL,
    success          boolean,
    observed         text,
    unexpected_count bigint,
    examples         text[]           NOT NULL,
    description      text             NOT NULL,
    error            text,
    PRIMARY KEY (run_id, expectation)
);
CREATE INDEX quality_results_table ON public.quality_results (table_name, started_at);
CREATE INDEX quality_results_started_at ON public.quality_results (started_at);
COMMENT ON TABLE public.quality_results IS 'Mirror of quality.results: every verdict, for a set number of days.';
"""

QUALITY_DECISIONS = """
CREATE TABLE public.quality_decisions (
    run_id     text        NOT NULL,
    decision   text        NOT NULL,
    decided_at timestamptz NOT NULL,
    note       text,
    PRIMARY KEY (run_id, decided_at)
);
COMMENT ON TABLE public.quality_decisions IS
    'Mirror of quality.decisions: what was done about runs that halted the layers after a table.';
"""


def upgrade() -> None:
    cursor = op.get_bind().connection.cursor()
    for step in (QUALITY_RESULTS, QUALITY_DECISIONS):
        cursor.execute(step)


def downgrade() -> None:
    raise NotImplementedError("the verdicts are mirrored anew from quality.results, never taken back")
