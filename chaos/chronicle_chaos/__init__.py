"""The scenario engine: faults, their proof, the workload, and the judgement of what happened."""
