"""What is wrong with an agent: problems, explanations of what it learned, and a verdict."""
