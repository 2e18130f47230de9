"""HTTP mechanism: requests, bodies, parameters, problems and keys, without any operation."""
