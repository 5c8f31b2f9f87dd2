"""Pictures of the graph and of the weights: JSON becomes DOT text, and DOT text becomes SVG in a child process."""
