"""From the outbox to the stream to the read model, and the proof that all three agree."""
