"""The page of a report: Jinja templates and their style sheet, read as package data."""
