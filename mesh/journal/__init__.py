"""The journal: every call through an edge, from the filter that writes it down to the log that keeps it."""
