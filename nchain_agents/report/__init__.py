"""What a comparison looks like: in the terminal, as Markdown, as pictures and as a page."""
