"""The report of a comparison: tables for the terminal, Markdown, pictures and an HTML page."""
