"""The users' churn scores, and what they were."""

from alembic import op

revision = "0002"
down_revision = "0001"

CHURN_PREDICTION = """
CREATE TABLE public.churn_prediction (
    user_id           text PRIMARY KEY,
    churn_probability double precision,
    churned           boolean,
    threshold         double precision,
    model_version     text,
    as_of             timestamptz NOT NULL,
    scored_at         timestamptz NOT NULL,
    features          jsonb       NOT NULL,
    reasons           text[]      NOT NULL,
    error             text,
    CHECK ((error IS NULL) = (churn_probability IS NOT NULL))
);
CREATE INDEX churn_prediction_at_risk ON public.churn_prediction (churn_probability DESC NULLS LAST);
COMMENT ON TABLE public.churn_prediction IS
    'The newest score of each user of gold.churn_features; as_of, scored_at and model_version say of what and by whom.';
COMMENT ON COLUMN public.churn_prediction.error IS 'Why the API refused the row; then there is no score.';
"""

CHURN_PREDICTION_HISTORY = """
CREATE TABLE public.churn_prediction_history (
    user_id           text             NOT NULL,
    scored_at         timestamptz      NOT NULL,
    as_of             timestamptz      NOT NULL,
    churn_probability double precision NOT NULL,
    model_version     text             NOT NULL,
    as_of_date        date             NOT NULL GENERATED ALWAYS AS ((as_of AT TIME ZONE 'UTC')::date) STORED,
    PRIMARY KEY (user_id, as_of_date, model_version)
);
CREATE INDEX churn_prediction_history_scored_at ON public.churn_prediction_history (scored_at);
COMMENT ON TABLE public.churn_prediction_history IS
    'The last score of each user, day and model that differs from the one before, for a set number of days.';
"""


def upgrade() -> None:
    cursor = op.get_bind().connection.cursor()
    for step in (CHURN_PREDICTION, CHURN_PREDICTION_HISTORY):
        cursor.execute(step)


def downgrade() -> None:
    raise NotImplementedError("the scores are made anew from gold.churn_features, never taken back")
