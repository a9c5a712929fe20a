"""The Streamlit pages and their queries."""
