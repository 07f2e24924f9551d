"""Answers as people and programs read them. Is handed records, solves nothing."""
