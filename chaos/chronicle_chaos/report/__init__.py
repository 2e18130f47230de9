"""From a run's journal and history to pictures, a page and a table."""
