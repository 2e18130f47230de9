"""Questions to a history: each module one, each a pure function of what was recorded."""
