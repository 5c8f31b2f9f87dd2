"""What an audit looks like: its JSON becomes view dataclasses, and those terminal tables, Markdown and HTML."""
