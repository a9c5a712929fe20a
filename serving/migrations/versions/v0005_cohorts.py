"""Retention."""

from alembic import op

revision = "0005"
down_revision = "0004"

COHORTS = """
CREATE TABLE public.cohorts (
    unit   text   NOT NULL,
    cohort date   NOT NULL,
    period bigint NOT NULL,
    users  bigint NOT NULL,
    PRIMARY KEY (unit, cohort, period)
);
CREATE INDEX cohorts_active ON public.cohorts
    (unit, (cohort + (period * CASE unit WHEN 'week' THEN 7 ELSE 1 END)::integer)) INCLUDE (cohort, period, users);
COMMENT ON TABLE public.cohorts IS 'Mirror of gold.cohorts: how many users of a cohort acted in each period since.';
COMMENT ON INDEX public.cohorts_active IS 'By the day or week in which they acted: the cells that make up its users.';
"""


def upgrade() -> None:
    op.get_bind().connection.cursor().execute(COHORTS)


def downgrade() -> None:
    raise NotImplementedError("cohorts are mirrored anew from gold.cohorts, never taken back")
