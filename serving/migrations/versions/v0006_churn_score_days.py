"""How many users have which score at the end of each day, counted as the scores change; and an order for pages."""

from alembic import op

revision = "0006"
down_revision = "0005"

SCORE_DAYS = """
CREATE TABLE public.churn_score_days (
    as_of_date    date     NOT NULL,
    model_version text     NOT NULL,
    bucket        smallint NOT NULL,
    churned       boolean  NOT NULL,
    num_users     bigint   NOT NULL,
    PRIMARY KEY (as_of_date, model_version, bucket, churned)
);
COMMENT ON TABLE public.churn_score_days IS
    'Users of churn_prediction by model, score and verdict, as they stood at the end of each day; the newest is now.';
COMMENT ON COLUMN public.churn_score_days.as_of_date IS
    'Day (UTC) of event time that the scores had come to: of the oldest as_of of a batch, and never back.';
COMMENT ON COLUMN public.churn_score_days.bucket IS
    'The probability in twentieths: 0 is from 0 to below 0.05, 19 from 0.95 to 1.';
"""

# Counted by triggers, and not by whoever writes: no statement can change scores and forget to. Once for a statement,
# so a batch of 5,000 users is a few additions. They run as the owner; hence the fixed search_path and the full names.
_COUNTED = """
INSERT INTO public.churn_score_days AS d (as_of_date, model_version, bucket, churned, num_users)
SELECT day, coalesce(s.model_version, ''), least(floor(s.churn_probability * 20), 19)::smallint, s.churned IS TRUE,
       {sign} count(*)
FROM {changed} s WHERE s.churn_probability IS NOT NULL GROUP BY 2, 3, 4
ON CONFLICT (as_of_date, model_version, bucket, churned) DO UPDATE SET num_users = d.num_users + EXCLUDED.num_users
"""

# A day begins with what the one before ended with. A user whose clock is ahead does not begin it: the day is that of
# the batch's oldest as_of. A year and a month are kept.
COUNT_SCORES = f"""
CREATE FUNCTION public.count_churn_scores() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last date := (SELECT max(as_of_date) FROM public.churn_score_days);
    day  date := last;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        UPDATE public.churn_score_days SET num_users = 0 WHERE as_of_date = last;
        RETURN NULL;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        day := greatest(last, (SELECT (min(as_of) AT TIME ZONE 'UTC')::date FROM put));
        IF day > last THEN
            INSERT INTO public.churn_score_days
            SELECT day, d.model_version, d.bucket, d.churned, d.num_users FROM public.churn_score_days d
            WHERE d.as_of_date = last AND d.num_users <> 0;
            DELETE FROM public.churn_score_days d WHERE d.as_of_date < day - 396;
        END IF;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        {_COUNTED.format(sign="-", changed="taken")};
    END IF;
    IF TG_OP <> 'DELETE' THEN
        {_COUNTED.format(sign="", changed="put")};
    END IF;
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION public.count_churn_scores() FROM PUBLIC;

CREATE TRIGGER churn_scores_inserted AFTER INSERT ON public.churn_prediction
    REFERENCING NEW TABLE AS put FOR EACH STATEMENT EXECUTE FUNCTION public.count_churn_scores();
CREATE TRIGGER churn_scores_updated AFTER UPDATE ON public.churn_prediction
    REFERENCING OLD TABLE AS taken NEW TABLE AS put FOR EACH STATEMENT EXECUTE FUNCTION public.count_churn_scores();
CREATE TRIGGER churn_scores_deleted AFTER DELETE ON public.churn_prediction
    REFERENCING OLD TABLE AS taken FOR EACH STATEMENT EXECUTE FUNCTION public.count_churn_scores();
CREATE TRIGGER churn_scores_truncated AFTER TRUNCATE ON public.churn_prediction
    FOR EACH STATEMENT EXECUTE FUNCTION public.count_churn_scores();
"""  # noqa: S608 (names of ours)

COUNT_WHAT_IS_THERE = """
INSERT INTO public.churn_score_days (as_of_date, model_version, bucket, churned, num_users)
SELECT max((as_of AT TIME ZONE 'UTC')::date) OVER (), model_version, bucket, churned, num_users
FROM (SELECT max(as_of) AS as_of, coalesce(model_version, '') AS model_version,
             least(floor(churn_probability * 20), 19)::smallint AS bucket, churned IS TRUE AS churned,
             count(*) AS num_users
      FROM public.churn_prediction WHERE churn_probability IS NOT NULL GROUP BY 2, 3, 4) counted;
"""

# Pages of users need an order without ties, and many silent users have one score. The first column is the old index.
PAGES = """
DROP INDEX public.churn_prediction_at_risk;
CREATE INDEX churn_prediction_at_risk ON public.churn_prediction (churn_probability DESC NULLS LAST, user_id);
"""


def upgrade() -> None:
    cursor = op.get_bind().connection.cursor()
    for step in (SCORE_DAYS, COUNT_WHAT_IS_THERE, COUNT_SCORES, PAGES):
        cursor.execute(step)


def downgrade() -> None:
    raise NotImplementedError("the scores are made anew from gold.churn_features, never taken back")
