"""The script that Streamlit runs for each visitor; everything is in ``screens``."""

from facewitness.dashboard.screens.shell import run

run()
