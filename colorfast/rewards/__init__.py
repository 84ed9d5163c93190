"""Replies graded: rules, embeddings, judges."""
