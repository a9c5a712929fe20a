"""The dashboard: `lakehouse up` starts it; `python -m streamlit run dashboard/app.py` does for a running stack."""

import streamlit as st

from dashboard import login
from dashboard.frame import broken
from lakehouse.errors import LakehouseError
from lakehouse.settings import load_settings

st.set_page_config(page_title="Interaction lakehouse", page_icon="🌊", layout="wide")
try:
    settings = load_settings()
except LakehouseError as error:
    broken("The settings cannot be read.", error)
    st.stop()
login.required(settings)
# Not "pages": a folder of that name beside this file Streamlit takes for its own kind of pages, until this has run.
st.navigation(
    [
        st.Page("views/now.py", title="Now", icon=":material/bolt:", default=True),
        st.Page("views/funnel.py", title="Funnel", icon=":material/filter_alt:"),
        st.Page("views/retention.py", title="Retention", icon=":material/event_repeat:"),
        st.Page("views/churn.py", title="Churn", icon=":material/trending_down:"),
        st.Page("views/user.py", title="User", icon=":material/person:", visibility="hidden"),
        st.Page("views/quality.py", title="Quality", icon=":material/verified:"),
        st.Page("views/time_travel.py", title="Time travel", icon=":material/history:"),
        st.Page("views/pipeline.py", title="Pipeline", icon=":material/conversion_path:"),
    ],
    position="top",
).run()
login.farewell(settings)
