"""The pages of the dashboard, one module each; shell puts them together."""
