"""The dashboard: `lakehouse up` starts it; `python -m streamlit run dashboard/app.py` does for a running stack."""

import streamlit as st

st.set_page_config(page_title="Interaction lakehouse", page_icon="🌊", layout="wide")
st.navigation(
    [
        st.Page("pages/now.py", title="Now", icon=":material/bolt:", default=True),
        st.Page("pages/retention.py", title="Retention", icon=":material/event_repeat:"),
        st.Page("pages/churn.py", title="Churn", icon=":material/trending_down:"),
        st.Page("pages/user.py", title="User", icon=":material/person:", visibility="hidden"),
        st.Page("pages/quality.py", title="Quality", icon=":material/verified:"),
        st.Page("pages/time_travel.py", title="Time travel", icon=":material/history:"),
        st.Page("pages/pipeline.py", title="Pipeline", icon=":material/conversion_path:"),
    ],
    position="top",
).run()
