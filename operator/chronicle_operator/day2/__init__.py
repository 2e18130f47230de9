"""Operations on a running ledger: one at a time, decided from what is there, safe to be interrupted anywhere."""
