"""The ordered funnel of sessions."""

from alembic import op

revision = "0004"
down_revision = "0003"

# A page asks for one dimension and some hours: hence the order of the key.
SESSION_FUNNEL = """
CREATE TABLE public.session_funnel (
    hour                timestamptz    NOT NULL,
    dimension           text           NOT NULL,
    value               text           NOT NULL,
    sessions            bigint         NOT NULL,
    viewed              bigint         NOT NULL,
    carted              bigint         NOT NULL,
    purchased           bigint         NOT NULL,
    bought              bigint         NOT NULL,
    num_events          bigint         NOT NULL,
    revenue             numeric(38, 4) NOT NULL,
    seconds_to_cart     bigint         NOT NULL,
    seconds_to_purchase bigint         NOT NULL,
    purchased_1m        bigint         NOT NULL,
    purchased_5m        bigint         NOT NULL,
    purchased_15m       bigint         NOT NULL,
    purchased_1h        bigint         NOT NULL,
    purchased_6h        bigint         NOT NULL,
    purchased_later     bigint         NOT NULL,
    date                date           NOT NULL,
    PRIMARY KEY (dimension, hour, value)
);
COMMENT ON TABLE public.session_funnel IS
    'Mirror of gold.session_funnel: the ordered funnel by hour, of all sessions and by the value of each dimension.';
"""


def upgrade() -> None:
    op.get_bind().connection.cursor().execute(SESSION_FUNNEL)


def downgrade() -> None:
    raise NotImplementedError("the funnel is mirrored anew from gold.session_funnel, never taken back")
