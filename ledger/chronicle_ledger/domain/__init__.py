"""What a ledger is, without any database, network or framework: values, commands, and the rules between them."""
