"""The roof: puts the parts together. Nobody imports it but the command line."""
