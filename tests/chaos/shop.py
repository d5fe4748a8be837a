"""What is on sale during a run."""
