"""The five scenarios, one module each: a fault, a window, and expectations as data."""
