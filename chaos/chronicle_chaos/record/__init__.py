"""What a run leaves behind: history, journal, final reads, and figures derived from them."""
