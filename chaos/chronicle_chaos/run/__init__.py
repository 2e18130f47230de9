"""Run scenarios: phases, undo, and the engine that calls them in order."""
