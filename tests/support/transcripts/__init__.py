"""Transcripts of the command line: a stored system, the commands, and what makes their answers repeatable."""
