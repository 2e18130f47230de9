"""The five scenarios, one module each, with their expectations as data."""
